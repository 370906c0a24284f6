package main

import (
	"github.com/kedge/kedge/cmd/kedge/internal/plantext"
	"github.com/kedge/kedge/cmd/kedge/internal/summary"
)

// What the program prints as JSON.
type (
	resultJSON  = summary.MigrationForm
	treeJSON    = summary.TreeForm
	failureJSON = summary.Group
	planJSON    plantext.Form
	shareJSON   = plantext.ShareForm
	amountJSON  = plantext.AmountForm
)
