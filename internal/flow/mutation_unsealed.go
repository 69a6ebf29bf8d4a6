//go:build mutation_unsealed

package flow

const mutation = "unsealed"
