//go:build !mutation_dedupe && !mutation_early && !mutation_expire && !mutation_late && !mutation_nameless && !mutation_norecord && !mutation_release && !mutation_retryguard && !mutation_unknown && !mutation_unlimited && !mutation_untold

package flow

// mutation names the mistake that this build makes on purpose, so that a test
// can prove that the simulator would see it (test/mutation). A release makes
// none, and the compiler leaves the mistakes out.
const mutation = ""
