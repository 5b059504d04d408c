package wire

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	//lint:ignore SA1019 the protocol hashes passwords with bcrypt and a given salt, which x/crypto/bcrypt cannot
	"golang.org/x/crypto/blowfish"
)

// DateFormat is the layout of the salt answer's Date, in UTC (part 1 section 2.1).
const DateFormat = "20060102T150405Z"

// SaltLength is the length of "$2a$10$" plus 22 characters.
const SaltLength = 29

var bcryptEncoding = base64.NewEncoding(
	"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789").WithPadding(base64.NoPadding)

// ErrBadSalt reports a salt that is not "$2a$", two digits, "$" and 22 characters
// of bcrypt's alphabet.
var ErrBadSalt = errors.New("malformed bcrypt salt")

// maxBcryptCost bounds the work a server can ask of a client with its salt.
const maxBcryptCost = 16

// BcryptHash hashes the password with the given salt, as x/crypto/bcrypt cannot
// (part 1 section 2.3). The result is 60 characters: the salt and 31 more.
func BcryptHash(password, salt string) (string, error) {
	if len(salt) < SaltLength || salt[:4] != "$2a$" || salt[6] != '$' {
		return "", ErrBadSalt
	}
	salt = salt[:SaltLength]
	cost, err := strconv.Atoi(salt[4:6])
	if err != nil || cost < 4 || cost > maxBcryptCost {
		return "", fmt.Errorf("%w: cost %q", ErrBadSalt, salt[4:6])
	}
	rawSalt, err := bcryptEncoding.DecodeString(salt[7:])
	if err != nil || len(rawSalt) != 16 {
		return "", ErrBadSalt
	}
	key := []byte(password)
	if len(key) > 72 {
		key = key[:72]
	}
	key = append(key[:len(key):len(key)], 0)
	c, err := blowfish.NewSaltedCipher(key, rawSalt)
	if err != nil {
		return "", fmt.Errorf("bcrypt: %w", err)
	}
	for range uint64(1) << cost {
		blowfish.ExpandKey(key, c)
		blowfish.ExpandKey(rawSalt, c)
	}
	text := []byte("OrpheanBeholderScryDoubt")
	for i := 0; i < len(text); i += 8 {
		for range 64 {
			c.Encrypt(text[i:i+8], text[i:i+8])
		}
	}
	return salt + bcryptEncoding.EncodeToString(text[:23]), nil
}

// SignHash turns a bcrypt hash and the salt answer's Date into the signature
// that login v2 sends instead of the password.
func SignHash(bcryptHash, date string) string {
	sum := sha256.Sum256([]byte(bcryptHash))
	mac := hmac.New(sha256.New, []byte(date))
	mac.Write([]byte(hex.EncodeToString(sum[:])))
	return hex.EncodeToString(mac.Sum(nil))
}

// Sign is [BcryptHash] followed by [SignHash].
func Sign(password, salt, date string) (string, error) {
	h, err := BcryptHash(password, salt)
	if err != nil {
		return "", err
	}
	return SignHash(h, date), nil
}

// BcryptSalt formats 16 random bytes as a salt.
func BcryptSalt(cost int, raw []byte) string {
	return fmt.Sprintf("$2a$%02d$%s", cost, bcryptEncoding.EncodeToString(raw[:16]))
}
