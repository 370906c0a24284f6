package tree

import (
	"context"
)

// phase is a part of a pass over the tree. Its word stands in the state file.
type phase string

// The phases in their order. The links of manifests and tags are listed before
// anything else: a registry that goes on being written to has, at that moment,
// every blob and layer link that those links need, so that what is listed
// afterwards holds all of it. What is pushed later waits for the next run.
//
// A tag comes before its history, and goes after it: to the registry a tag is
// there as soon as anything lies below its name.
const (
	phaseManifests phase = "listing of manifests"
	phaseBlobs     phase = "blobs"
	phaseLayers    phase = "layer links"
	phaseRevisions phase = "manifest links"
	phaseTags      phase = "tags"
	phaseHistory   phase = "tag history"

	phaseCompare         phase = "comparison before deleting"
	phaseDeleteHistory   phase = "deletion of tag history"
	phaseDeleteTags      phase = "deletion of tags"
	phaseDeleteRevisions phase = "deletion of manifest links"
	phaseDeleteLayers    phase = "deletion of layer links"
	phaseDeleteBlobs     phase = "deletion of blobs"
)

// step is a phase, what it does and what comes next; "" is the end.
type step struct {
	phase phase
	run   func(context.Context) error
	next  phase
}

// plan is what a pass does. A run that keeps the source ends before anything is
// deleted; should it take up a pass that was deleting already, it ends at once.
func (m *migration) plan() []step {
	afterLinks := phaseCompare
	if m.KeepSource {
		afterLinks = ""
	}
	steps := []step{
		{phaseManifests, m.listManifests, phaseBlobs},
		{phaseBlobs, m.moveBlobs, phaseLayers},
		{phaseLayers, m.moveLayers, phaseRevisions},
		{phaseRevisions, func(ctx context.Context) error { return m.moveListed(ctx, classRevision) }, phaseTags},
		{phaseTags, func(ctx context.Context) error { return m.moveListed(ctx, classCurrent) }, phaseHistory},
		{phaseHistory, func(ctx context.Context) error { return m.moveListed(ctx, classIndex) }, afterLinks},
	}
	if m.KeepSource {
		return steps
	}
	within := inside(m.Repositories)
	deleteLayers := step{phaseDeleteLayers, m.deletes(within, classLayer, classOther, classUpload), phaseDeleteBlobs}
	if len(m.Repositories) > 0 {
		deleteLayers.next = "" // other repositories may need the blobs
	}
	return append(steps,
		step{phaseCompare, m.compare, phaseDeleteHistory},
		step{phaseDeleteHistory, m.deletes(within, classIndex), phaseDeleteTags},
		step{phaseDeleteTags, m.deletes(within, classCurrent), phaseDeleteRevisions},
		step{phaseDeleteRevisions, m.deletes(within, classRevision), phaseDeleteLayers},
		deleteLayers,
		step{phaseDeleteBlobs, m.deletes(outside(), classBlob, classOther), ""},
	)
}
