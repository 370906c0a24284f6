package main

import (
	"context"
	"fmt"
)

// managerDBCommand is what Anchore's manager has under db, as far as a migration
// Job needs it.
type managerDBCommand struct {
	PreUpgradeCheck preUpgradeCheckCommand `cmd:"" help:"Say whether the database answers and is Anchore's. Anchore's chart waits for that before it migrates."`
}

// preUpgradeCheckCommand looks whether the database can be used.
type preUpgradeCheckCommand struct{}

// Run connects.
func (c *preUpgradeCheckCommand) Run(ctx context.Context, a *app) error {
	cat, err := a.openCatalog(ctx, nil)
	if err != nil {
		return err
	}
	defer cat.Close()
	fmt.Fprintln(a.stdout, "The database answers:", cat.Place())
	return nil
}
