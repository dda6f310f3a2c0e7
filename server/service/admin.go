package service

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/netip"
	"net/url"
	"strings"

	"github.com/aimass/aimass/api"
)

// Caller says who makes a call that changes the server.
type Caller struct {
	// Addr is the peer's address, zero if unknown.
	Addr netip.Addr
	// Authorization, Origin and Host are the headers of these names, or empty.
	Authorization, Origin, Host string
}

// Authorize decides whether the caller may change the server: with the admin token always, without it over loopback only.
// A page of another site that a browser on this machine shows also calls over loopback; its Origin gives it away.
func (s *Service) Authorize(c *Caller) error {
	if token, ok := bearer(c.Authorization); ok && s.cfg.AdminToken != "" {
		got, want := sha256.Sum256([]byte(token)), sha256.Sum256([]byte(s.cfg.AdminToken))
		if subtle.ConstantTimeCompare(got[:], want[:]) == 1 {
			return nil
		}
		return api.Errorf(api.CodeAdminForbidden, "the admin token is wrong")
	}
	if !c.Addr.Unmap().IsLoopback() {
		return api.Errorf(api.CodeAdminForbidden, "calls that change the server are answered on loopback only, or to the admin token")
	}
	if c.Origin != "" && !sameHost(c.Origin, c.Host) {
		return api.Errorf(api.CodeAdminForbidden, "calls that change the server are not open to pages of other sites")
	}
	return nil
}

func bearer(header string) (token string, ok bool) {
	scheme, token, _ := strings.Cut(header, " ")
	return strings.TrimSpace(token), strings.EqualFold(scheme, "bearer")
}

func sameHost(origin, host string) bool {
	u, err := url.Parse(origin)
	return err == nil && u.Host != "" && strings.EqualFold(u.Host, host)
}
