// Package inferencepb is the Go form of api/inference.proto and api/model_config.proto: the open inference protocol,
// version 2, over gRPC, as Triton's and KServe's clients speak it. All but this file is generated.
//
// To generate again, have protoc (or set PROTOC, for instance to "python -m grpc_tools.protoc"), protoc-gen-go and
// protoc-gen-go-grpc in PATH; the versions used stand at the head of the generated files.
package inferencepb

//go:generate sh -c "${DOLLAR}{PROTOC:-protoc} -I .. --go_out=. --go_opt=paths=source_relative --go-grpc_out=. --go-grpc_opt=paths=source_relative ../inference.proto ../model_config.proto"
