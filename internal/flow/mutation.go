//go:build !mutation_dedupe && !mutation_early && !mutation_excluded && !mutation_expire && !mutation_foureyes && !mutation_late && !mutation_nameless && !mutation_norecord && !mutation_overrefund && !mutation_raise && !mutation_recapture && !mutation_release && !mutation_resend && !mutation_retryguard && !mutation_sameroute && !mutation_stepup && !mutation_unknown && !mutation_unlimited && !mutation_unlinked && !mutation_unplayed && !mutation_unreserved && !mutation_unsealed && !mutation_untold && !mutation_zone

package flow

// mutation names the mistake that this build makes on purpose, so that a test
// can prove that the simulator would see it (test/mutation). A release makes
// none, and the compiler leaves the mistakes out.
const mutation = ""
