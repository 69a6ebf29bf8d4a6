package manual_test

import (
	"testing"

	"aorta/internal/verification/manual"
	"aorta/internal/verification/verificationtest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	verificationtest.Exercise(t, func(*testing.T) verificationtest.Subject {
		return verificationtest.Subject{Provider: manual.Manual{}}
	})
}
