package drivertest

import (
	"context"
	"testing"

	"github.com/kedge/kedge/drivers"
)

// testVersions checks that whoever is told a payload's version is told the same one,
// and another one after another payload of the same length has taken its place.
func testVersions(t *testing.T, b Backend) {
	s := open(t, b)
	c := s.d.Capabilities()
	bodies, versions := map[string][]byte{}, map[string]string{}
	for round := range byte(2) {
		receipts := map[string]drivers.Receipt{}
		for i, f := range forms {
			lengths := []int{0, 300}
			if i == 0 { // what long payloads cost is much, and the forms are alike in it
				lengths = append(lengths, 3<<20)
			}
			for j, length := range lengths {
				uri := s.uri(f.name + string(rune('a'+j)))
				body := randomBytes(round*100+byte(i*3+j), length)
				payload, _ := f.payload(body)
				receipt, err := s.d.Put(s.ctx, uri, payload)
				if err != nil {
					t.Fatalf("put %q: %v", uri, err)
				}
				bodies[uri], receipts[uri] = body, receipt
			}
		}
		s.putTogether(round, bodies, receipts)
		for uri, receipt := range receipts {
			version := s.versionOf(uri, receipt)
			if len(bodies[uri]) > 0 && version != "" && version == versions[uri] {
				t.Errorf("%q has the version %q, as it had with another payload", uri, version)
			}
			versions[uri] = version
		}
		if c.Lists {
			s.checkListing("list", s.d.(drivers.Lister).List, bodies, versions, c.ListTells, false)
		}
		if c.ListProves {
			s.checkListing("list with MD5s", s.d.(drivers.Prover).ListProven, bodies, versions, c.ListTells, true)
		}
	}
}

// putTogether puts two payloads in one call where the driver can.
func (s *store) putTogether(round byte, bodies map[string][]byte, receipts map[string]drivers.Receipt) {
	s.Helper()
	batcher, ok := s.d.(drivers.Batcher)
	if !ok || !s.d.Capabilities().BatchPut {
		return
	}
	var requests []drivers.PutRequest
	for i, id := range []string{"together 1", "together 2"} {
		body := randomBytes(50+round*2+byte(i), 500)
		requests = append(requests, drivers.PutRequest{URI: s.uri(id), Payload: body, MD5: md5Hex(body)})
	}
	for i, result := range batcher.PutBatch(s.ctx, requests) {
		if result.Err != nil {
			s.Fatal(result.Err)
		}
		bodies[requests[i].URI], receipts[requests[i].URI] = requests[i].Payload, result.Receipt
	}
}

// versionOf gives the version that Stat tells, which must be that of the receipt, and
// that of Get where it tells one.
func (s *store) versionOf(uri string, receipt drivers.Receipt) string {
	s.Helper()
	info, err := s.stat(uri)
	if err != nil {
		s.Fatal(err)
	}
	body, got, err := s.get(uri)
	if err != nil {
		s.Fatal(err)
	}
	if err := body.Close(); err != nil {
		s.Error(err)
	}
	tells := s.d.Capabilities().ListTells
	if receipt.Version != info.Version && (tells || receipt.Version != "") {
		s.Errorf("%q: put tells the version %q, stat %q", uri, receipt.Version, info.Version)
	}
	if got.Version != info.Version && got.Version != "" {
		s.Errorf("%q: get tells the version %q, stat %q", uri, got.Version, info.Version)
	}
	return info.Version
}

// checkListing compares what a listing tells of each payload with what is there.
func (s *store) checkListing(op string, list func(context.Context, func(string, drivers.Info) error) error,
	bodies map[string][]byte, versions map[string]string, tells, proves bool) {
	s.Helper()
	missing := len(bodies)
	err := list(s.ctx, func(uri string, info drivers.Info) error {
		missing--
		s.checkInfo(op, info, md5Hex(bodies[uri]), int64(len(bodies[uri])))
		if info.Version != versions[uri] && (tells || info.Version != "") {
			s.Errorf("%s: %q has the version %q, stat told %q", op, uri, info.Version, versions[uri])
		}
		if tells && info.Version == "" {
			s.Errorf("%s: no version of %q", op, uri)
		}
		if proves && info.MD5 == "" {
			s.Errorf("%s: no MD5 of %q", op, uri)
		}
		return nil
	})
	if err != nil || missing != 0 {
		s.Errorf("%s: %d payloads are missing, %v", op, missing, err)
	}
}
