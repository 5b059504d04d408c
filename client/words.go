package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"
)

// spoken is an error below HTTP in the words of whoever runs the mount. The error
// itself stays within reach of errors.Is and errors.As.
type spoken struct {
	text string
	err  error
}

func (s *spoken) Error() string { return s.text }
func (s *spoken) Unwrap() error { return s.err }

// Plain says what a failed connection means, without the words of Go's network
// packages ("dial tcp", "context deadline exceeded"), which tell an administrator
// where a program failed and not what. Other errors are returned as they are.
func Plain(err error) error {
	if text := plainWords(err); text != "" {
		return &spoken{text, err}
	}
	return err
}

func plainWords(err error) string {
	addr := ""
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Addr != nil {
		addr = " by " + op.Addr.String()
	}
	if text := nameWords(err); text != "" {
		return text
	}
	if text := trustWords(err); text != "" {
		return text
	}
	timeout := false
	if ne, ok := errors.AsType[net.Error](err); ok {
		timeout = ne.Timeout()
	}
	switch {
	case errors.Is(err, errStalled):
		return "" // says it well by itself
	case errors.Is(err, syscall.ECONNREFUSED):
		return "connection refused" + addr
	case errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH):
		return "the network has no way to the server"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "connection broken by the server"
	case timeout || errors.Is(err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.Is(err, context.Canceled):
		return "given up"
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return "connection closed by the server without an answer"
		}
		return u.Err.Error() // method and URL are in the operation's name
	}
	return ""
}

func nameWords(err error) string {
	dns, ok := errors.AsType[*net.DNSError](err)
	switch {
	case !ok:
		return ""
	case dns.IsNotFound:
		return fmt.Sprintf("host %q is not known", dns.Name)
	}
	return fmt.Sprintf("host %q cannot be looked up: the name server does not answer", dns.Name)
}

// trustWords are those of TLS.
func trustWords(err error) string {
	if errors.Is(err, http.ErrSchemeMismatch) {
		return "the server does not speak TLS at this port"
	}
	if e, ok := errors.AsType[x509.HostnameError](err); ok {
		return fmt.Sprintf("the server's certificate is not for %q", e.Host)
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the server's certificate is signed by an authority that this machine does not trust"
	}
	if e, ok := errors.AsType[x509.CertificateInvalidError](err); ok && e.Reason == x509.Expired {
		return fmt.Sprintf("the server's certificate is valid from %s to %s only; here it is %s",
			e.Cert.NotBefore.UTC().Format(time.DateTime), e.Cert.NotAfter.UTC().Format(time.DateTime), time.Now().UTC().Format(time.DateTime))
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "the server's certificate is not valid: " + e.Err.Error()
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "the server does not speak TLS at this port"
	}
	return ""
}
