package rpc

import (
	"context"
	"errors"
	"io"
	"strconv"
	"time"

	"github.com/aimass/aimass/api"
	"github.com/aimass/aimass/api/inferencepb"
)

// streamInFlight bounds the requests of one stream that are under way or wait to be sent; a
// client that sends more is not read from until some have been answered.
const streamInFlight = 128

// ModelStreamInfer answers the requests of a stream: many at once, so that they share batches,
// and in the order in which they came. Those of one sequence are run one after the other. A
// request that fails is answered with its error, and the stream goes on, until the client or the
// server ends it; the server does once it has answered what it has read.
func (h *handler) ModelStreamInfer(stream inferencepb.GRPCInferenceService_ModelStreamInferServer) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	answers := make(chan chan *inferencepb.ModelStreamInferResponse, streamInFlight)
	sent := make(chan error, 1)
	go func() {
		var err error
		for a := range answers {
			out := <-a
			if err == nil {
				if err = stream.Send(out); err != nil {
					cancel() // nobody reads any more: what is under way need not end
				}
			}
		}
		sent <- err
	}()
	requests := make(chan received)
	go read(ctx, stream, requests)
	err := h.begin(ctx, requests, answers)
	if err != nil && api.CodeOf(err) != api.CodeShuttingDown {
		cancel()
	}
	close(answers)
	return errors.Join(err, <-sent)
}

// received is what a stream brought: a request, or why there are no more.
type received struct {
	request *inferencepb.ModelInferRequest
	err     error
}

// read takes requests off the stream until it ends or ctx is done.
func read(ctx context.Context, stream inferencepb.GRPCInferenceService_ModelStreamInferServer, to chan<- received) {
	for {
		r, err := stream.Recv()
		select {
		case to <- received{r, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// begin starts the stream's requests as they come, until there are no more or the server stops.
func (h *handler) begin(ctx context.Context, requests <-chan received, answers chan<- chan *inferencepb.ModelStreamInferResponse) error {
	last := map[string]chan struct{}{} // of each sequence under way, closed when its last request is done
	for {
		var in received
		select {
		case in = <-requests:
		case <-ctx.Done():
			return ctx.Err() // the reader may have left without a word
		case <-h.stopping.Done():
			return api.Errorf(api.CodeShuttingDown, "the server is stopping")
		}
		if errors.Is(in.err, io.EOF) {
			return nil
		}
		if in.err != nil {
			return in.err
		}
		r := in.request
		answer := make(chan *inferencepb.ModelStreamInferResponse, 1)
		answers <- answer
		key := sequenceOf(r)
		if key == "" {
			go func() { answer <- h.streamed(ctx, r) }()
			continue
		}
		before, done := last[key], make(chan struct{})
		last[key] = done
		go func() {
			if before != nil {
				<-before
			}
			answer <- h.streamed(ctx, r)
			close(done)
		}()
		if len(last) > 2*streamInFlight {
			forget(last)
		}
	}
}

// forget drops the sequences that have nothing under way.
func forget(last map[string]chan struct{}) {
	for key, done := range last {
		select {
		case <-done:
			delete(last, key)
		default:
		}
	}
}

// sequenceOf names the model and sequence of a request, "" if it is in none.
func sequenceOf(r *inferencepb.ModelInferRequest) string {
	switch id := r.Parameters["sequence_id"].GetParameterChoice().(type) {
	case *inferencepb.InferParameter_StringParam:
		return r.ModelName + "\x00s" + id.StringParam
	case *inferencepb.InferParameter_Int64Param:
		return r.ModelName + "\x00n" + strconv.FormatInt(id.Int64Param, 10)
	case *inferencepb.InferParameter_Uint64Param:
		return r.ModelName + "\x00n" + strconv.FormatUint(id.Uint64Param, 10)
	}
	return ""
}

// streamed answers one request of a stream.
func (h *handler) streamed(ctx context.Context, r *inferencepb.ModelInferRequest) *inferencepb.ModelStreamInferResponse {
	began := time.Now()
	resp, err := h.ModelInfer(ctx, r)
	h.service.Counts.GRPC(err)
	if err != nil || h.log.WantsAccess() {
		h.done(ctx, "/ModelStreamInfer", r, err, time.Since(began))
	}
	out := &inferencepb.ModelStreamInferResponse{InferResponse: resp}
	if err != nil {
		out.ErrorMessage = api.RequestPrefix(requestID(ctx, r)) + api.Message(err)
		out.InferResponse = &inferencepb.ModelInferResponse{ModelName: r.ModelName, ModelVersion: r.ModelVersion, Id: r.Id,
			Parameters: map[string]*inferencepb.InferParameter{codeTrailer: {ParameterChoice: &inferencepb.InferParameter_StringParam{StringParam: string(api.CodeOf(err))}}}}
	}
	if out.InferResponse.Parameters == nil {
		out.InferResponse.Parameters = map[string]*inferencepb.InferParameter{}
	}
	out.InferResponse.Parameters["triton_final_response"] = &inferencepb.InferParameter{ParameterChoice: &inferencepb.InferParameter_BoolParam{BoolParam: true}}
	return out
}
