"""Go and Java: the recipes of docs/api.md make stubs from a copy of proto/ alone, and a client with them compiles.

Compilers and libraries are Debian's. `make stubs` installs them, and runs these tests; `make test` leaves them out.
"""

from pathlib import Path

import pytest

from tests.end_to_end.documents import block_with
from tests.end_to_end.stubs.toolchain import contract_copy, run

pytestmark = pytest.mark.compilers

JARS = ("geronimo-annotation-1.3-spec", "grpc-api", "grpc-protobuf", "grpc-stub", "guava", "protobuf")


def test_go_compiles(tmp_path: Path) -> None:
    contract_copy(tmp_path)
    source = tmp_path / "src" / "example.com" / "court"
    (source / "client").mkdir(parents=True)
    (source / "client" / "main.go").write_text(GO_CLIENT)
    (tmp_path / "buf.gen.yaml").write_text(block_with("docs/api.md", "yaml", "protoc-gen-go-grpc"))
    generate = block_with("docs/api.md", "", "--path proto/broker").replace(
        "buf generate", "buf generate -o src/example.com/court"
    )
    run("sh", "-c", generate, cwd=tmp_path)
    # Debian 12 has Google's types in a package, as everybody else does, but Decimal is younger.
    types = ["google/type/date.proto", "google/type/decimal.proto", "google/type/money.proto"]
    run("protoc", "-Iproto", "--go_out=src", *types, cwd=tmp_path)
    environment = {
        "CGO_ENABLED": "0", "GO111MODULE": "off", "GOFLAGS": "", "GOPATH": f"{tmp_path}:/usr/share/gocode",
        "GOCACHE": str(tmp_path / "cache"),
    }  # fmt: skip
    run("/usr/bin/go", "vet", "example.com/court/broker/v1", "example.com/court/client", cwd=tmp_path, **environment)


GO_CLIENT = """\
package main

import (
	"context"

	brokerv1 "example.com/court/broker/v1"
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
    contract_copy(tmp_path)
    source, classes = tmp_path / "src", tmp_path / "classes"
    source.mkdir()
    # Of the version that Debian's libraries for Java are made for; they lack google.type.
    generate = block_with("docs/api.md", "", "--grpc-java_out").replace("protoc ", "/usr/bin/protoc ", 1)
    run("sh", "-c", generate.strip() + " proto/google/type/*.proto", cwd=tmp_path)
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
