//go:build mutation_trustnews

package inbox

const trustNews = true
