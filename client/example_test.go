package client_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http/httptest"
	"time"

	"github.com/aimass/aimass/client"
)

func Example() {
	server := httptest.NewServer(&fake{}) // stands for http://127.0.0.1:8000
	defer server.Close()

	c, err := client.New(server.URL, client.Options{Timeout: 10 * time.Second})
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	res, err := c.Infer(context.Background(), &client.Request{
		Model: "echo",
		ID:    "42",
		Inputs: []client.Tensor{
			client.Float32("x", []int{2, 3}, []float32{1, 2, 3, 4, 5, 6}),
			client.Strings("names", []int{2}, []string{"Ada", "Grace"}),
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	x, err := res.Float32s("x")
	if err != nil {
		log.Fatal(err)
	}
	names, err := res.Strings("names")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(res.ID, res.Output("x").Shape, x, names)
	// Output: 42 [2 3] [1 2 3 4 5 6] [Ada Grace]
}

func ExampleError() {
	c, err := client.New("http://127.0.0.1:8000", client.Options{})
	if err != nil {
		log.Fatal(err)
	}
	_, err = c.ModelMetadata(context.Background(), "appt-noshow", "")
	var e *client.Error
	if errors.As(err, &e) {
		log.Printf("the server said %s to request %s (try again: %v)", e.Code(), e.RequestID, e.Retryable)
	}
}
