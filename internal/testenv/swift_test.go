package testenv

import (
	"errors"
	"testing"
	"time"

	ncw "github.com/ncw/swift/v2"
)

func TestSwift(t *testing.T) {
	for name, start := range map[string]func(testing.TB) *SwiftServer{"tempauth": Swift, "keystone": SwiftKeystone} {
		t.Run(name, func(t *testing.T) {
			started := time.Now()
			server := start(t)
			t.Logf("ready after %v", time.Since(started).Round(time.Millisecond))
			var container string
			t.Run("use", func(t *testing.T) {
				container = server.Container(t)
				if err := server.Client().ObjectPutString(t.Context(), container, "a b/ü?#%", "x", ""); err != nil {
					t.Fatal(err)
				}
				if names := server.Objects(t, container); len(names) != 1 || names[0] != "a b/ü?#%" {
					t.Errorf("the container holds %q", names)
				}
				reader := &ncw.Connection{
					AuthVersion: server.AuthVersion, AuthUrl: server.AuthURL,
					UserName: server.Reader, ApiKey: server.ReaderKey, Transport: server.client.Transport,
				}
				if server.AuthVersion == 3 {
					reader.Tenant, reader.DomainId, reader.TenantDomainId, reader.Region = server.Project, "default", "default", "RegionOne"
				}
				if _, err := reader.ObjectGetString(t.Context(), container, "a b/ü?#%"); !errors.Is(err, ncw.Forbidden) {
					t.Errorf("the user without rights gets %v", err)
				}
			})
			if _, _, err := server.Client().Container(t.Context(), container); !errors.Is(err, ncw.ContainerNotFound) {
				t.Errorf("container after its test: %v; want not found", err)
			}
		})
	}
}

func TestSwiftStopAndStart(t *testing.T) {
	server := NewSwift(t, SwiftSettings{})
	container := server.Container(t)
	server.Stop(t)
	if _, _, err := server.Client().Container(t.Context(), container); err == nil {
		t.Error("answers when stopped")
	}
	server.Start(t)
	if _, _, err := server.Client().Container(t.Context(), container); err != nil {
		t.Errorf("container after the restart: %v", err)
	}
}
