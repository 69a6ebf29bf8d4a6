package pgp_test

import (
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	"aorta/internal/pgp"
)

// BenchmarkMessage is the cryptography of one call alone: what a capture cannot
// cost less than. "call" is both of ours, reading the request and writing the
// answer.
func BenchmarkMessage(b *testing.B) {
	request, answer := vector(b, "payload-capture-request.json"), vector(b, "payload-capture-response.json")
	for _, bits := range []int{2048, 3072, 4096} {
		var k [2]pgp.Key
		for n := range k {
			var err error
			if k[n], err = pgp.NewKey("bench", time.Now(), rand.Reader, pgp.KeyOptions{Bits: bits}); err != nil {
				b.Fatal(err)
			}
		}
		us := ring(b, pgp.Keys{Decrypt: k[:1], Sign: k[:1], Verify: k[1:], Encrypt: k[1:]})
		google := ring(b, pgp.Keys{Sign: k[1:], Encrypt: k[:1]})
		text, err := google.Seal(request, time.Now(), pgp.Form{})
		if err != nil {
			b.Fatal(err)
		}
		open := func(b *testing.B) {
			if _, err := us.Open(text, time.Now()); err != nil {
				b.Fatal(err)
			}
		}
		seal := func(b *testing.B) {
			if _, err := us.Seal(answer, time.Now(), pgp.Form{}); err != nil {
				b.Fatal(err)
			}
		}
		for name, do := range map[string]func(*testing.B){"open": open, "seal": seal, "call": func(b *testing.B) { open(b); seal(b) }} {
			b.Run(fmt.Sprintf("%s/rsa%d", name, bits), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					do(b)
				}
			})
		}
		b.Run(fmt.Sprintf("call/rsa%d/parallel", bits), func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					open(b)
					seal(b)
				}
			})
		})
	}
}
