"""What every S3 server of the tests looks like to a client, and moto's: in memory, with accounts, on loopback."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.services.ports import answers, free_port
from tests.services.process import Service, own_environment, running

REGION = "us-east-1"


@dataclasses.dataclass(frozen=True, slots=True)
class S3:
    """An endpoint with one account."""

    endpoint: str
    access_key: str
    secret_key: str = dataclasses.field(repr=False)
    service: Service | None = dataclasses.field(default=None, repr=False, compare=False)

    def environment(self) -> dict[str, str]:
        """What a client needs. Stores other than AWS refuse the checksum trailers that clients send by default."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ALLOW_HTTP": "true",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
            "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
        }

    def client(self) -> Any:
        """A boto3 client: another implementation than the product's own."""
        return client(self.environment())

    def make_bucket(self, name: str) -> str:
        """Makes a bucket; its address."""
        self.client().create_bucket(Bucket=name)
        return f"s3://{name}"

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """Names of all objects below a prefix."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", ())]


def client(environment: Mapping[str, str]) -> Any:
    """A boto3 client of what `S3.environment` says, with few and quick retries."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=environment["AWS_ENDPOINT_URL"],
        aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
        region_name=environment["AWS_REGION"],
        config=Config(
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            s3={"addressing_style": "path"},
            retries={"max_attempts": 3},
            connect_timeout=5,
            read_timeout=30,
        ),
    )


@contextlib.contextmanager
def moto_server(folder: Path, host: str = "127.0.0.1", *, accounts: bool = True) -> Iterator[S3]:
    """An S3 server in one process. It keeps objects in memory: pause it (`s3.service.pause()`) rather than kill it.

    With accounts a wrong key or signature is refused, as is whatever an account's policy does not allow.

    Raises:
        ServiceFailed: it did not come up.
    """
    port = free_port(host)
    # Without this it asks the network for the address of its proxy at every request.
    environment = own_environment(no_proxy="*", MOTO_CALL_RESET_API="false")
    words = [sys.executable, "-m", "moto.server", "-H", host, "-p", str(port)]
    with running(f"moto-{port}", words, folder, environment, ready=lambda: answers(host, port)) as service:
        access_key, secret_key = _account(host, port) if accounts else ("testing", "testing")
        yield S3(f"http://{host}:{port}", access_key, secret_key, service)


def _account(host: str, port: int) -> tuple[str, str]:
    """An account that may do everything; from then on requests are checked.

    moto checks everything once it has let a number of requests through, and that number can be set only at its start
    or over its own interface: here, when the account is there.
    """
    import boto3

    iam = boto3.client(
        "iam",
        endpoint_url=f"http://{host}:{port}",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
        region_name=REGION,
    )
    iam.create_user(UserName="grokstudy")
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam.put_user_policy(UserName="grokstudy", PolicyName="everything", PolicyDocument=json.dumps(everything))
    key = iam.create_access_key(UserName="grokstudy")["AccessKey"]
    connection = http.client.HTTPConnection(host, port, timeout=10)
    with contextlib.closing(connection):
        connection.request("POST", "/moto-api/reset-auth", body=b"0")
        assert connection.getresponse().status == 200
    return str(key["AccessKeyId"]), str(key["SecretAccessKey"])
