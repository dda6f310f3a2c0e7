//go:build !linux

package load

import "errors"

func newHTTPDriver(*Plan) (driver, error) {
	return nil, errors.New("HTTP load needs Linux (epoll); use --protocol grpc")
}
