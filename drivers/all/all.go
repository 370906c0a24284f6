// Package all is the table of all drivers: it opens a store from its section of
// a configuration, by the driver's name there.
package all

import (
	"context"
	"database/sql"
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
	open func(ctx context.Context, o config.Options, e Environment) (drivers.Driver, error)
	// options is a pointer to the driver's option struct, for masking secrets
	// and for the documentation; example are the options of its first example.
	options func() any
	example []string
	// retries is the policy that the options ask for, nil where none can.
	retries func(o config.Options) (retry.Policy, error)
}

var table = []entry{
	{
		Description: Description{Name: "db", Scheme: "db://", Summary: "rows of the installation's database, table archive_document"},
		open: func(ctx context.Context, o config.Options, e Environment) (drivers.Driver, error) {
			if err := o.Decode(&struct{}{}); err != nil {
				return nil, err
			}
			return db.OpenDB(ctx, e.database())
		},
		options: func() any { return &struct{}{} },
	},
	{
		Description: Description{Name: "db2", Scheme: "db2://", Summary: "rows of the installation's database, table object_storage", Compresses: true},
		open: func(ctx context.Context, o config.Options, e Environment) (drivers.Driver, error) {
			if err := o.Decode(&struct{}{}); err != nil {
				return nil, err
			}
			return db.OpenDB2(ctx, e.database())
		},
		options: func() any { return &struct{}{} },
	},
	{
		Description: Description{Name: "localfs", Scheme: "file://", Summary: "files below a directory", Compresses: true},
		open: func(ctx context.Context, o config.Options, e Environment) (drivers.Driver, error) {
			var options localfs.Options
			if err := o.Decode(&options); err != nil {
				return nil, err
			}
			d, err := openLocalfs(ctx, options, e)
			if err != nil {
				return nil, located(o, "archive_data_dir", err)
			}
			return d, nil
		},
		options: func() any { return &localfs.Options{} },
		example: []string{"archive_data_dir"},
	},
	{
		Description: Description{Name: "s3", Scheme: "s3://", Summary: "objects in a bucket of Amazon S3 or a server with its API", Compresses: true},
		open: func(ctx context.Context, o config.Options, e Environment) (drivers.Driver, error) {
			var options s3.Options
			if err := o.Decode(&options); err != nil {
				return nil, err
			}
			options.CreateBucket = options.CreateBucket && e.Create
			d, err := s3.Open(ctx, options, s3.Tuning{Workers: e.Workers, Look: e.Look, Writes: e.Create})
			if err != nil {
				return nil, located(o, "", err)
			}
			return d, nil
		},
		options: func() any { return &s3.Options{} },
		example: []string{"access_key", "secret_key", "url", "bucket", "create_bucket"},
	},
	{
		Description: Description{Name: "swift", Scheme: "swift://", Summary: "objects in a container of OpenStack Swift", Compresses: true},
		open: func(ctx context.Context, o config.Options, e Environment) (drivers.Driver, error) {
			options := swift.DefaultOptions(nil)
			if err := o.Decode(&options); err != nil {
				return nil, err
			}
			options.CreateContainer = options.CreateContainer && e.Create
			d, err := swift.Open(ctx, options, swift.Tuning{Workers: e.Workers, Look: e.Look})
			if err != nil {
				return nil, located(o, "", err)
			}
			return d, nil
		},
		options: func() any { o := swift.DefaultOptions(nil); return &o },
		retries: func(o config.Options) (retry.Policy, error) {
			options := swift.DefaultOptions(nil)
			err := o.Decode(&options)
			p := options.RetryPolicy()
			return retry.Policy{Attempts: p.Attempts, Base: p.First, Max: p.Max}, err
		},
		example: []string{"auth_version", "os_auth_url", "os_username", "os_password", "os_project_name", "container", "create_container"},
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

// names lists the drivers' names for a message.
func names() string {
	var list []string
	for _, e := range table {
		list = append(list, e.Name)
	}
	return strings.Join(list, ", ")
}

func find(s *config.Store) (entry, error) {
	for _, e := range table {
		if e.Name == s.Driver {
			return e, nil
		}
	}
	return entry{}, s.Errorf("storage_driver.name", "there is no driver %q (known drivers: %s)", s.Driver, names())
}

// Check says whether the section names a driver and gives it options that it
// knows and that make sense together. It opens nothing.
func Check(s *config.Store) error {
	e, err := find(s)
	if err != nil {
		return err
	}
	options := e.options()
	if err := s.Options.Decode(options); err != nil {
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
	e, err := find(s)
	if err != nil {
		return "", err
	}
	options := e.options()
	if err := s.Options.Decode(options); err != nil {
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
	d, err := find(s)
	if err != nil {
		return nil, err
	}
	opened, err := d.open(ctx, s.Options, e)
	if m, ok := opened.(interface{ Missing() bool }); ok && err == nil && m.Missing() {
		return unmade{opened}, nil
	}
	return opened, err
}

// RetryPolicy is what the section says of trying again; zero where it says
// nothing.
func RetryPolicy(s *config.Store) (retry.Policy, error) {
	e, err := find(s)
	if err != nil || e.retries == nil {
		return retry.Policy{}, err
	}
	return e.retries(s.Options)
}

// NewOptions gives a pointer to the option struct of the section's driver, whose
// tags say which options are secret.
func NewOptions(s *config.Store) (any, error) {
	e, err := find(s)
	if err != nil {
		return nil, err
	}
	return e.options(), nil
}
