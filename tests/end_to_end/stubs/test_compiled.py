"""Go and Java: messages and gRPC stubs from a copy of proto/ alone, compiled with Debian's compilers and libraries.

`make stubs` installs them, and runs these tests; `make test` leaves them out.
"""

from pathlib import Path

import pytest

from tests.end_to_end.stubs.toolchain import contract_copy, run

pytestmark = pytest.mark.compilers

PROTOC = "/usr/bin/protoc"  # of the version that Debian's libraries for Java are made for
JARS = ("geronimo-annotation-1.3-spec", "grpc-api", "grpc-protobuf", "grpc-stub", "guava", "protobuf")


def test_go_compiles(tmp_path: Path) -> None:
    # google/rpc is in a package for Go; google/type is too, but not all of it in Debian 12.
    files = [file for file in contract_copy(tmp_path) if not file.startswith("google/rpc")]
    source = tmp_path / "src"
    source.mkdir()
    run(PROTOC, "-Iproto", f"--go_out={source}", f"--go-grpc_out={source}", *files, cwd=tmp_path)
    environment = {
        "CGO_ENABLED": "0", "GO111MODULE": "off", "GOFLAGS": "", "GOPATH": f"{tmp_path}:/usr/share/gocode",
        "GOCACHE": str(tmp_path / "cache"),
    }  # fmt: skip
    (source / "client").mkdir()
    (source / "client" / "main.go").write_text(GO_CLIENT)
    run("/usr/bin/go", "vet", "broker/v1", "client", cwd=tmp_path, **environment)


GO_CLIENT = """\
package main

import (
	"context"

	brokerv1 "broker/v1"
	"google.golang.org/grpc"
)

func main() {
	connection, _ := grpc.Dial("127.0.0.1:50051", grpc.WithInsecure())
	client := brokerv1.NewInvestigationServiceClient(connection)
	stream, _ := client.Investigate(context.Background(), &brokerv1.InvestigateRequest{
		Mandate:  &brokerv1.Mandate{CourtCode: "京0101"},
		Priority: brokerv1.Priority_PRIORITY_BULK,
	})
	response, _ := stream.Recv()
	println(response.GetSummary().GetComplete())
}
"""


def test_java_compiles(tmp_path: Path) -> None:
    files = contract_copy(tmp_path)
    source, classes = tmp_path / "src", tmp_path / "classes"
    source.mkdir()
    plugin = "--plugin=protoc-gen-grpc-java=/usr/bin/grpc_java_plugin"
    run(PROTOC, "-Iproto", f"--java_out={source}", plugin, f"--grpc-java_out={source}", *files, cwd=tmp_path)
    (source / "Client.java").write_text(JAVA_CLIENT, encoding="utf-8")
    sources = [str(path) for path in sorted(source.rglob("*.java"))]
    jars = ":".join(f"/usr/share/java/{name}.jar" for name in JARS)
    run("/usr/bin/javac", "-encoding", "UTF-8", "-d", str(classes), "-cp", jars, *sources, cwd=tmp_path)
    assert (classes / "broker" / "v1" / "InvestigationServiceGrpc.class").exists()


JAVA_CLIENT = """\
import broker.v1.InvestigateRequest;
import broker.v1.InvestigationServiceGrpc;
import broker.v1.Mandate;
import broker.v1.Priority;
import io.grpc.ManagedChannel;

class Client {
    static boolean complete(ManagedChannel channel) {
        InvestigateRequest request = InvestigateRequest.newBuilder()
            .setMandate(Mandate.newBuilder().setCourtCode("京0101"))
            .setPriority(Priority.PRIORITY_BULK)
            .build();
        return InvestigationServiceGrpc.newBlockingStub(channel).investigate(request).next().getSummary().getComplete();
    }
}
"""
