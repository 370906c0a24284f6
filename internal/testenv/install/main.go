// Command install installs what the tests need: PostgreSQL, OpenStack Swift and
// Keystone, Chromium, promtool, tmux and a C compiler from Debian's packages, and the
// programs of package tools, which it builds. It leaves alone what is there already.
// "make test-deps" runs it.
//
//	go run ./internal/testenv/install              installs everything
//	go run ./internal/testenv/install staticcheck  installs one and prints its path
//	go run ./internal/testenv/install rclone       the same for a program that only "make bench" needs
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"golang.org/x/sync/errgroup"

	"github.com/kedge/kedge/internal/testenv/tools"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "install:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, names []string) error {
	root, err := tools.Root()
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return installAll(ctx, root)
	}
	for _, name := range names {
		path, err := installOne(ctx, root, name)
		if err != nil {
			return err
		}
		fmt.Println(path)
	}
	return nil
}

// installAll fetches Debian's packages while the programs are built: the one
// waits for the network and the disk, the other needs the processor.
func installAll(ctx context.Context, root string) error {
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() error { return tools.InstallPackages(ctx, os.Stderr) })
	both.Go(func() error {
		for _, tool := range tools.All() {
			if _, err := tool.Install(ctx, root, os.Stderr); err != nil {
				return err
			}
		}
		return nil
	})
	return both.Wait()
}

func installOne(ctx context.Context, root, name string) (string, error) {
	for _, tool := range append(tools.All(), tools.Peers()...) {
		if tool.Name == name {
			return tool.Install(ctx, root, os.Stderr)
		}
	}
	return "", fmt.Errorf("no tool is called %q", name)
}
