package identity

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"testing"
)

func TestACertificateGivesOneRole(t *testing.T) {
	of := func(units ...string) (Peer, error) {
		return PeerOf(&x509.Certificate{Subject: pkix.Name{CommonName: "kiosk-01", Organization: []string{"A"}, OrganizationalUnit: units}})
	}
	for _, units := range [][]string{{"kiosk"}, {"kiosk", Demo}, {Demo, "kiosk"}} {
		p, err := of(units...)
		if want := (Peer{Name: "kiosk-01", Centre: "A", Role: RoleKiosk, Demo: len(units) == 2}); err != nil || p != want {
			t.Errorf("%q gives %+v, %v", units, p, err)
		}
	}
	for _, units := range [][]string{{"kiosk", Supervised}, {Supervised, Demo, "kiosk"}, {"desk"}} {
		if p, err := of(units...); err != nil || !p.Supervised {
			t.Errorf("%q gives %+v, %v", units, p, err)
		}
	}
	for _, units := range [][]string{nil, {"kiosk", "desk"}, {"kiosk", Demo, "central"}} {
		if p, err := of(units...); err == nil {
			t.Errorf("%q gives %+v", units, p)
		}
	}
}

func TestADemonstrationsMarkIsInheritedFromTheAuthority(t *testing.T) {
	p, err := PeerOf(&x509.Certificate{Issuer: pkix.Name{OrganizationalUnit: []string{Demo}},
		Subject: pkix.Name{CommonName: "kiosk-01", Organization: []string{"A"}, OrganizationalUnit: []string{"kiosk"}}})
	if err != nil || !p.Demo {
		t.Errorf("a certificate without the mark under an authority with it gives %+v, %v", p, err)
	}
}
