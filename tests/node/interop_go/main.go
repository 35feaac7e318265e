// SPDX-License-Identifier: Apache-2.0

// A client of a node written from docs/protocol.md with gRPC's Go implementation, the messages that protoc makes of our
// .proto files, and the cryptography of Go's standard library. It does one scenario and prints what came of it as JSON.
//
//	interop -address HOST:PORT [-token TOKEN] [-ca FILE] SCENARIO [MODULE ARGUMENTS…]
package main

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/mlkem"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"
	reflectionpb "google.golang.org/grpc/reflection/grpc_reflection_v1"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"berth.example/interop/berth"
	"berth.example/interop/liop"
)

const patience = 120 * time.Second // only a bound against hanging

// One direction of a session: docs/protocol.md, "Sealed messages".
type seal struct {
	aead     cipher.AEAD
	bound    []byte
	sequence uint64
}

func newSeal(secret []byte, token, capability string, direction byte) (*seal, error) {
	of := sha256.Sum256([]byte(capability))
	info := "berth seal v1\x00" + string([]byte{direction, 0}) + string(of[:])
	key, err := hkdf.Key(sha256.New, secret, []byte(token), info, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	return &seal{aead: aead, bound: append([]byte{direction}, token...)}, err
}

func (s *seal) nonce() []byte {
	nonce := make([]byte, 12)
	binary.BigEndian.PutUint64(nonce[4:], s.sequence)
	s.sequence++
	return nonce
}

func (s *seal) close(plain []byte) []byte { return s.aead.Seal(nil, s.nonce(), plain, s.bound) }

func (s *seal) open(sealed []byte) ([]byte, error) {
	return s.aead.Open(nil, s.nonce(), sealed, s.bound)
}

type node struct {
	connection *grpc.ClientConn
	mesh       liop.LogicMeshClient
	calls      berth.NodeClient
	token      string
}

func (n *node) context(parent context.Context) context.Context {
	if n.token == "" {
		return parent
	}
	return metadata.AppendToOutgoingContext(parent, "authorization", "Bearer "+n.token)
}

type session struct {
	token              string
	ciphertext, secret []byte
}

// Opens a session and checks that the node signed the key.
func (n *node) negotiate(ctx context.Context) (*session, error) {
	answer, err := n.mesh.NegotiateIntent(n.context(ctx), &liop.IntentRequest{AgentDid: "did:liop:go", Sealed: true})
	if err != nil {
		return nil, err
	}
	signed := "berth kem key v1\x00" + answer.SessionToken + "\x00\x00" + string(answer.KyberPublicKey)
	if len(answer.NodePublicKey) != ed25519.PublicKeySize ||
		!ed25519.Verify(answer.NodePublicKey, []byte(signed), answer.KemSignature) {
		return nil, errors.New("the key is not signed by the node")
	}
	key, err := mlkem.NewEncapsulationKey768(answer.KyberPublicKey)
	if err != nil {
		return nil, err
	}
	secret, ciphertext := key.Encapsulate()
	return &session{token: answer.SessionToken, ciphertext: ciphertext, secret: secret}, nil
}

// What a run came to.
type result struct {
	OutputBytes  int    `json:"output_bytes"`
	OutputSHA256 string `json:"output_sha256"`
	Pieces       int    `json:"pieces"`
	Outcome      string `json:"outcome"`
	ExitCode     uint32 `json:"exit_code"`
	Receipt      string `json:"receipt"`
	Status       string `json:"status"`
	Message      string `json:"message"`
}

// Runs a module. `spoil` may change the sealed request; `began` is called once the node has started it.
func (n *node) run(ctx context.Context, module []byte, arguments []string, spoil func([]byte), began func()) (ret result) {
	err := n.stream(ctx, module, arguments, spoil, began, &ret)
	ret.Status, ret.Message = status.Code(err).String(), status.Convert(err).Message()
	return ret
}

func (n *node) stream(ctx context.Context, module []byte, arguments []string, spoil func([]byte), began func(), ret *result) error {
	opened, err := n.negotiate(ctx)
	if err != nil {
		return err
	}
	in, err := newSeal(opened.secret, opened.token, "", 0)
	if err != nil {
		return err
	}
	out, err := newSeal(opened.secret, opened.token, "", 1)
	if err != nil {
		return err
	}
	hash := sha256.Sum256(module)
	request, err := proto.Marshal(&berth.RunRequest{Module: module, ModuleSha256: hash[:], Name: "go.wasm", Arguments: arguments})
	if err != nil {
		return err
	}
	sealed := in.close(request)
	if spoil != nil {
		spoil(sealed)
	}
	answers, err := n.mesh.ExecuteLogic(n.context(ctx), &liop.LogicRequest{SessionToken: opened.token,
		PqcCiphertext: opened.ciphertext, SealedRequest: sealed})
	if err != nil {
		return err
	}
	output := sha256.New()
	for {
		answer, err := answers.Recv()
		if err == io.EOF {
			ret.OutputSHA256 = hex.EncodeToString(output.Sum(nil))
			return nil
		}
		if err != nil {
			return err
		}
		plain, err := out.open(answer.Sealed)
		if err != nil {
			return err
		}
		message := &berth.RunMessage{}
		if err := proto.Unmarshal(plain, message); err != nil {
			return err
		}
		switch kind := message.Kind.(type) {
		case *berth.RunMessage_Started:
			if began != nil {
				began()
			}
		case *berth.RunMessage_Output:
			output.Write(kind.Output)
			ret.OutputBytes += len(kind.Output)
			ret.Pieces++
		case *berth.RunMessage_End:
			ret.Outcome, ret.ExitCode, ret.Receipt = kind.End.Outcome, kind.End.ExitCode, string(kind.End.Receipt)
		}
	}
}

// How many runs of ours go on; asked until there are none.
func (n *node) untilNothingRuns(ctx context.Context) error {
	for {
		runs, err := n.calls.ListRuns(n.context(ctx), &berth.ListRunsRequest{Running: true})
		if err != nil || len(runs.Runs) == 0 {
			return err
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// The module with a custom section that makes it at least that large.
func padded(module []byte, size int) []byte {
	name := []byte("padding")
	content := append(append([]byte{byte(len(name))}, name...), make([]byte, size)...)
	return append(append(append(module[:len(module):len(module)], 0), binary.AppendUvarint(nil, uint64(len(content)))...), content...)
}

// ---- Scenarios

type scenario func(ctx context.Context, n *node, module []byte, arguments []string) (any, error)

func run(ctx context.Context, n *node, module []byte, arguments []string) (any, error) {
	return n.run(ctx, module, arguments, nil, nil), nil
}

func upload(ctx context.Context, n *node, module []byte, arguments []string) (any, error) {
	return n.run(ctx, padded(module, 16<<20), arguments, nil, nil), nil
}

func wrongSeal(ctx context.Context, n *node, module []byte, arguments []string) (any, error) {
	return n.run(ctx, module, arguments, func(sealed []byte) { sealed[len(sealed)/2] ^= 1 }, nil), nil
}

func deadline(ctx context.Context, n *node, module []byte, arguments []string) (any, error) {
	limited, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
	defer cancel()
	ended := n.run(limited, module, arguments, nil, nil)
	return ended, n.untilNothingRuns(ctx)
}

func cancelled(ctx context.Context, n *node, module []byte, arguments []string) (any, error) {
	cancellable, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := n.run(cancellable, module, arguments, nil, cancel)
	return ended, n.untilNothingRuns(ctx)
}

// 20 at once on one connection.
func together(ctx context.Context, n *node, module []byte, arguments []string) (any, error) {
	results := make([]result, 20)
	var all sync.WaitGroup
	for i := range results {
		all.Add(1)
		go func() {
			defer all.Done()
			results[i] = n.run(ctx, module, arguments, nil, nil)
		}()
	}
	all.Wait()
	return results, nil
}

func describe(ctx context.Context, n *node, _ []byte, _ []string) (any, error) {
	answer, err := n.calls.Describe(ctx, &berth.DescribeRequest{})
	if err != nil {
		return nil, err
	}
	return map[string]any{"peer_id": answer.PeerId, "ml_dsa_65_bytes": len(answer.MlDsa_65PublicKey),
		"version": answer.Version, "nonce_bytes": len(answer.Nonce)}, nil
}

func health(ctx context.Context, n *node, _ []byte, _ []string) (any, error) {
	client := healthpb.NewHealthClient(n.connection)
	said := map[string]string{}
	for _, service := range []string{"", "liop.v1.LogicMesh", "berth.v1.Node", "no.such.Service"} {
		answer, err := client.Check(ctx, &healthpb.HealthCheckRequest{Service: service})
		said[service] = status.Code(err).String()
		if err == nil {
			said[service] = answer.Status.String()
		}
	}
	watched, cancel := context.WithCancel(ctx)
	defer cancel()
	answers, err := client.Watch(watched, &healthpb.HealthCheckRequest{})
	if err != nil {
		return nil, err
	}
	first, err := answers.Recv()
	if err != nil {
		return nil, err
	}
	said["watch"] = first.Status.String()
	return said, nil
}

func reflection(ctx context.Context, n *node, _ []byte, _ []string) (any, error) {
	questions, err := reflectionpb.NewServerReflectionClient(n.connection).ServerReflectionInfo(ctx)
	if err != nil {
		return nil, err
	}
	question := &reflectionpb.ServerReflectionRequest{MessageRequest: &reflectionpb.ServerReflectionRequest_ListServices{}}
	if err := questions.Send(question); err != nil {
		return nil, err
	}
	answer, err := questions.Recv()
	if err != nil {
		return nil, err
	}
	names := []string{}
	for _, service := range answer.GetListServicesResponse().GetService() {
		names = append(names, service.Name)
	}
	return names, questions.CloseSend()
}

var scenarios = map[string]scenario{
	"run": run, "upload": upload, "wrong-seal": wrongSeal, "deadline": deadline, "cancel": cancelled,
	"together": together, "describe": describe, "health": health, "reflection": reflection,
}

// ---- Main

func connect(address, ca string) (*grpc.ClientConn, error) {
	transport := insecure.NewCredentials()
	if ca != "" {
		var err error
		if transport, err = credentials.NewClientTLSFromFile(ca, ""); err != nil {
			return nil, err
		}
	}
	return grpc.NewClient(address, grpc.WithTransportCredentials(transport))
}

func do() error {
	address := flag.String("address", "", "the node")
	token := flag.String("token", "", "bearer token")
	ca := flag.String("ca", "", "PEM file of the authorities; none: no TLS")
	flag.Parse()
	chosen, known := scenarios[flag.Arg(0)]
	if !known {
		return fmt.Errorf("there is no scenario %q", flag.Arg(0))
	}
	var module []byte
	var arguments []string
	if flag.NArg() > 1 {
		var err error
		if module, err = os.ReadFile(flag.Arg(1)); err != nil {
			return err
		}
		arguments = flag.Args()[2:]
	}
	connection, err := connect(*address, *ca)
	if err != nil {
		return err
	}
	defer connection.Close()
	n := &node{connection, liop.NewLogicMeshClient(connection), berth.NewNodeClient(connection), *token}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	answer, err := chosen(ctx, n, module, arguments)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(answer)
}

func main() {
	if err := do(); err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		os.Exit(1)
	}
}
