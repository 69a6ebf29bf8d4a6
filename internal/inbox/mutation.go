//go:build !mutation_trustnews

package inbox

// trustNews has the inbox take a notification for the answer, a mistake made on purpose, so that a test can prove that the
// simulator would see it (test/mutation). A release does not, and the compiler
// leaves the mistake out.
const trustNews = false
