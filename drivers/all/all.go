// Package all is the table of all drivers. It opens a store from its section of a
// configuration, by the driver's name there.
package all

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/kedge/kedge/config"
	"github.com/kedge/kedge/drivers"
	"github.com/kedge/kedge/drivers/db"
	"github.com/kedge/kedge/drivers/localfs"
	"github.com/kedge/kedge/drivers/retry"
	"github.com/kedge/kedge/drivers/s3"
	"github.com/kedge/kedge/drivers/swift"
)

// Environment is what drivers may need beside their options.
type Environment struct {
	// The installation's database, for db and db2: one of the two.
	Postgres *pgxpool.Pool
	SQLite   *sql.DB
	// DatabasePlace identifies it without secrets.
	DatabasePlace string
	// Workers is how many operations will be in flight; 0 if the driver may
	// choose.
	Workers int
	// Create says that a place that is not there yet may be made, where the
	// configuration allows it: a destination's, not a source's.
	Create bool
	// Look says that the store is opened to look at only: what Create allows to
	// make is not made, and the store then is one that Missing knows.
	Look bool
}

// Description describes a driver for people.
type Description struct {
	Name, Scheme, Summary string
	Compresses            bool
}

// entry is one driver.
type entry struct {
	Description
	// options makes the driver's option struct, with its defaults, and gives a
	// pointer to it: for reading a configuration, for masking secrets and for the
	// documentation. A field's tags are config (the key), doc and example, and where
	// there is something to say default, env and secret:"true". The struct may have
	// methods: Validate() error says what is wrong with the options by themselves;
	// URIPrefix() string is what the store's Prefix is going to be, where that is
	// more than Scheme. example are the options of its first example.
	options func() any
	example []string
	// open opens a store with what options has made. The store may have a method
	// Missing() bool, see Environment.Look.
	open func(ctx context.Context, options any, e Environment) (drivers.Driver, error)
	// at is the option where an error of kind Config is shown; "" for all of them.
	at string
	// retries is the policy that the options ask for, nil where none can.
	retries func(options any) retry.Policy
}

var table = []entry{
	{
		Description: Description{Name: "db", Scheme: "db://", Summary: "rows of the installation's database, table archive_document"},
		options:     func() any { return &struct{}{} },
		open: func(ctx context.Context, _ any, e Environment) (drivers.Driver, error) {
			return db.OpenDB(ctx, e.database())
		},
	},
	{
		Description: Description{Name: "db2", Scheme: "db2://", Summary: "rows of the installation's database, table object_storage", Compresses: true},
		options:     func() any { return &struct{}{} },
		open: func(ctx context.Context, _ any, e Environment) (drivers.Driver, error) {
			return db.OpenDB2(ctx, e.database())
		},
	},
	{
		Description: Description{Name: "localfs", Scheme: "file://", Summary: "files below a directory", Compresses: true},
		options:     func() any { return &localfs.Options{} },
		example:     []string{"archive_data_dir"},
		open: func(ctx context.Context, options any, e Environment) (drivers.Driver, error) {
			return openLocalfs(ctx, *options.(*localfs.Options), e)
		},
		at: "archive_data_dir",
	},
	{
		Description: Description{Name: "s3", Scheme: "s3://", Summary: "objects in a bucket of Amazon S3 or a server with its API", Compresses: true},
		options:     func() any { return &s3.Options{} },
		example:     []string{"access_key", "secret_key", "url", "bucket", "create_bucket"},
		open: func(ctx context.Context, options any, e Environment) (drivers.Driver, error) {
			o := *options.(*s3.Options)
			o.CreateBucket = o.CreateBucket && e.Create
			return s3.Open(ctx, o, s3.Tuning{Workers: e.Workers, Look: e.Look, Writes: e.Create})
		},
	},
	{
		Description: Description{Name: "swift", Scheme: "swift://", Summary: "objects in a container of OpenStack Swift", Compresses: true},
		options:     func() any { o := swift.DefaultOptions(nil); return &o },
		example:     []string{"auth_version", "os_auth_url", "os_username", "os_password", "os_project_name", "container", "create_container"},
		open: func(ctx context.Context, options any, e Environment) (drivers.Driver, error) {
			o := *options.(*swift.Options)
			o.CreateContainer = o.CreateContainer && e.Create
			return swift.Open(ctx, o, swift.Tuning{Workers: e.Workers, Look: e.Look})
		},
		retries: func(options any) retry.Policy {
			p := options.(*swift.Options).RetryPolicy()
			return retry.Policy{Attempts: p.Attempts, Base: p.First, Max: p.Max}
		},
	},
}

func (e Environment) database() db.Database {
	return db.Database{Postgres: e.Postgres, SQLite: e.SQLite, Place: e.DatabasePlace}
}

// located puts file, line and key before what is wrong with the options.
func located(o config.Options, key string, err error) error {
	if drivers.KindOf(err) == drivers.Config {
		return o.Errorf(key, "%v", err)
	}
	return err
}

// Descriptions lists all drivers in the order in which they are shown.
func Descriptions() []Description {
	list := make([]Description, len(table))
	for i, e := range table {
		list[i] = e.Description
	}
	return list
}

// Names lists the drivers' names in the same order.
func Names() []string {
	list := make([]string, len(table))
	for i, e := range table {
		list[i] = e.Name
	}
	return list
}

func find(name string) (entry, error) {
	for _, e := range table {
		if e.Name == name {
			return e, nil
		}
	}
	return entry{}, fmt.Errorf("there is no driver %q (known drivers: %s)", name, strings.Join(Names(), ", "))
}

func ofSection(s *config.Store) (entry, error) {
	e, err := find(s.Driver)
	if err != nil {
		return e, s.Errorf("storage_driver.name", "%v", err)
	}
	return e, nil
}

// read finds the section's driver, and reads its options.
func read(s *config.Store) (e entry, options any, err error) {
	if e, err = ofSection(s); err != nil {
		return e, nil, err
	}
	options = e.options()
	return e, options, s.Options.Decode(options)
}

// Check says whether the section names a driver and gives it options that it
// knows and that make sense together. It opens nothing.
func Check(s *config.Store) error {
	_, options, err := read(s)
	if err != nil {
		return err
	}
	if s.Driver == "s3" && s.Options.Has("url") && options.(*s3.Options).URL == "" {
		return s.Options.Errorf("url", "is empty: give the server's URL, or leave the key out and give a region for Amazon S3")
	}
	if v, ok := options.(interface{ Validate() error }); ok {
		if err := v.Validate(); err != nil {
			return located(s.Options, "", err)
		}
	}
	return nil
}

// Prefix is what every URI of the section's store begins with. It opens nothing.
func Prefix(s *config.Store) (string, error) {
	e, options, err := read(s)
	if err != nil {
		return "", err
	}
	if o, ok := options.(interface{ URIPrefix() string }); ok {
		return o.URIPrefix(), nil
	}
	return e.Scheme, nil
}

// Open opens the store of a section. The error carries file and line where the
// configuration is at fault.
func Open(ctx context.Context, s *config.Store, e Environment) (drivers.Driver, error) {
	d, options, err := read(s)
	if err != nil {
		return nil, err
	}
	opened, err := d.open(ctx, options, e)
	switch {
	case err != nil && len(d.example) == 0: // there is no option that could be at fault
		return nil, err
	case err != nil:
		return nil, located(s.Options, d.at, err)
	}
	if m, ok := opened.(interface{ Missing() bool }); ok && m.Missing() {
		return unmade{opened}, nil
	}
	return opened, nil
}

// RetryPolicy is what the section says of trying again; zero where it says
// nothing.
func RetryPolicy(s *config.Store) (retry.Policy, error) {
	e, err := ofSection(s)
	if err != nil || e.retries == nil {
		return retry.Policy{}, err
	}
	_, options, err := read(s)
	return e.retries(options), err
}

// NewOptions gives a pointer to the option struct of the section's driver, whose
// tags say which options are secret.
func NewOptions(s *config.Store) (any, error) {
	e, err := ofSection(s)
	if err != nil {
		return nil, err
	}
	return e.options(), nil
}
