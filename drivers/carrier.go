package drivers

import "context"

// Carrier is implemented by drivers whose backend may have been told to carry what is
// deleted on to other places.
type Carrier interface {
	// CarriesDeletions gives these places: what is deleted under Prefix is deleted there,
	// too, behind the same rest of its URI. It asks the backend, and gives none where that
	// does not tell, or must not be asked.
	CarriesDeletions(ctx context.Context) []string
}
