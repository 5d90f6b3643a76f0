// Judges signatures with the libraries of others, one JSON document a line, in order:
//
//	{"form": "bundle" | "legacy", "root": {trusted_root.json}, "subject": "...", "issuer": "...",
//	 "image": "sha256:...", "bundle": {...}, "payload": base64, "annotations": {...}}
//	{"accepted": true} or {"accepted": false, "why": "..."}
//
// A bundle goes to sigstore-go, with the thresholds that cosign 3 sets; a legacy signature to cosign's own package. Neither asks
// anyone anything. A root that is left out is the one of the line before.
package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/sigstore/cosign/v3/pkg/cosign"
	"github.com/sigstore/cosign/v3/pkg/cosign/bundle"
	"github.com/sigstore/cosign/v3/pkg/oci/static"
	sgbundle "github.com/sigstore/sigstore-go/pkg/bundle"
	"github.com/sigstore/sigstore-go/pkg/root"
	"github.com/sigstore/sigstore-go/pkg/verify"
)

type question struct {
	Form        string            `json:"form"`
	Root        json.RawMessage   `json:"root"`
	Subject     string            `json:"subject"`
	Issuer      string            `json:"issuer"`
	Image       string            `json:"image"`
	Bundle      json.RawMessage   `json:"bundle"`
	Payload     []byte            `json:"payload"`
	Annotations map[string]string `json:"annotations"`
}

type answer struct {
	Accepted bool   `json:"accepted"`
	Why      string `json:"why,omitempty"`
}

func main() {
	// What the libraries have to say beside their verdict.
	log.SetOutput(io.Discard)
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 1<<20), 64<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	var trusted root.TrustedMaterial
	for lines.Scan() {
		var q question
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			fmt.Fprintln(os.Stderr, "judge: a line that is not a question:", err)
			os.Exit(2)
		}
		err := func() error {
			if len(q.Root) > 0 {
				parsed, err := root.NewTrustedRootFromJSON(q.Root)
				trusted = parsed
				if err != nil {
					trusted = nil
					return fmt.Errorf("trusted root: %w", err)
				}
			}
			if trusted == nil {
				return errors.New("no trusted root")
			}
			return judge(q, trusted)
		}()
		a := answer{Accepted: err == nil}
		if err != nil {
			a.Why = err.Error()
		}
		line, err := json.Marshal(a)
		if err != nil {
			panic(err)
		}
		out.Write(line)
		out.WriteByte('\n')
		out.Flush()
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(os.Stderr, "judge:", err)
		os.Exit(2)
	}
}

// A panic of a library is not a verdict: the caller has to see it.
func judge(q question, trusted root.TrustedMaterial) error {
	switch q.Form {
	case "bundle":
		return judgeBundle(q, trusted)
	case "legacy":
		return judgeLegacy(q, trusted)
	}
	return fmt.Errorf("form %q", q.Form)
}

func judgeBundle(q question, trusted root.TrustedMaterial) error {
	var b sgbundle.Bundle
	if err := b.UnmarshalJSON(q.Bundle); err != nil {
		return err
	}
	verifier, err := verify.NewVerifier(trusted, verify.WithSignedCertificateTimestamps(1), verify.WithTransparencyLog(1),
		verify.WithObserverTimestamps(1))
	if err != nil {
		return err
	}
	identity, err := verify.NewShortCertificateIdentity(q.Issuer, "", q.Subject, "")
	if err != nil {
		return err
	}
	algorithm, digest, _ := strings.Cut(q.Image, ":")
	raw, err := hex.DecodeString(digest)
	if err != nil {
		return err
	}
	_, err = verifier.Verify(&b, verify.NewPolicy(verify.WithArtifactDigest(algorithm, raw), verify.WithCertificateIdentity(identity)))
	return err
}

func judgeLegacy(q question, trusted root.TrustedMaterial) error {
	const prefix = "dev.sigstore.cosign/"
	options := []static.Option{static.WithAnnotations(q.Annotations)}
	if certificate, ok := q.Annotations[prefix+"certificate"]; ok {
		options = append(options, static.WithCertChain([]byte(certificate), []byte(q.Annotations[prefix+"chain"])))
	}
	if text, ok := q.Annotations[prefix+"bundle"]; ok {
		var b bundle.RekorBundle
		if err := json.Unmarshal([]byte(text), &b); err != nil {
			return err
		}
		options = append(options, static.WithBundle(&b))
	}
	timestamps := false
	if text, ok := q.Annotations[prefix+"rfc3161timestamp"]; ok && text != "" {
		var t bundle.RFC3161Timestamp
		if err := json.Unmarshal([]byte(text), &t); err != nil {
			return err
		}
		options = append(options, static.WithRFC3161Timestamp(&t))
		timestamps = true
	}
	signature, err := static.NewSignature(q.Payload, q.Annotations["dev.cosignproject.cosign/signature"], options...)
	if err != nil {
		return err
	}
	if _, err := base64.StdEncoding.DecodeString(q.Annotations["dev.cosignproject.cosign/signature"]); err != nil {
		return err
	}
	image, err := v1.NewHash(q.Image)
	if err != nil {
		return err
	}
	_, err = cosign.VerifyImageSignature(context.Background(), signature, image, &cosign.CheckOpts{
		ClaimVerifier:       cosign.SimpleClaimVerifier,
		TrustedMaterial:     trusted,
		Identities:          []cosign.Identity{{Issuer: q.Issuer, Subject: q.Subject}},
		Offline:             true,
		UseSignedTimestamps: timestamps,
	})
	return err
}
