"""Writes the Parquet files of this folder and expected.json, the texts of their cells, for tests
that run without pyarrow.

    python tests/data/parquet/generate.py

Needs pyarrow and polars. `metadata.parquet` is the table that tests/python/test_inputs.py compares
with CSV and JSON Lines.
"""

import datetime
import decimal
import json
import pathlib

import polars
import pyarrow as pa
import pyarrow.parquet as pq

HERE = pathlib.Path(__file__).parent
UTC = datetime.timezone.utc
DAY = datetime.datetime(2024, 2, 29, 23, 59, 59)
OLD = datetime.datetime(1931, 1, 1, 0, 0, 0, 500_000)

# Name: type, values, their texts.
COLUMNS = {
    "text": (pa.string(), ["a.png", "ü, \"q\"\n", "", None], ["a.png", "ü, \"q\"\n", "", ""]),
    "word": (pa.dictionary(pa.int32(), pa.string()), ["duck", "duck", None, "cup"],
             ["duck", "duck", "", "cup"]),
    "yes": (pa.bool_(), [True, False, None, True], ["true", "false", "", "true"]),
    "i8": (pa.int8(), [-128, 127, None, 0], ["-128", "127", "", "0"]),
    "i32": (pa.int32(), [-2**31, 2**31 - 1, 7, None], ["-2147483648", "2147483647", "7", ""]),
    "i64": (pa.int64(), [-2**63, 2**63 - 1, 0, 5],
            ["-9223372036854775808", "9223372036854775807", "0", "5"]),
    "u32": (pa.uint32(), [2**32 - 1, 0, None, 1], ["4294967295", "0", "", "1"]),
    "u64": (pa.uint64(), [2**64 - 1, 0, None, 1], ["18446744073709551615", "0", "", "1"]),
    "f32": (pa.float32(), [0.1, float("nan"), None, 2.0], ["0.1", "", "", "2.0"]),
    "f64": (pa.float64(), [1 / 3, float("-inf"), 1e300, None],
            ["0.3333333333333333", "", "1e+300", ""]),
    "day": (pa.date32(), [DAY.date(), datetime.date(1, 1, 1), datetime.date(9999, 12, 31), None],
            ["2024-02-29", "0001-01-01", "9999-12-31", ""]),
    "ms": (pa.timestamp("ms"), [DAY, OLD, None, None],
           ["2024-02-29 23:59:59", "1931-01-01 00:00:00.500", "", ""]),
    "us": (pa.timestamp("us", tz="UTC"), [DAY.replace(tzinfo=UTC), OLD.replace(tzinfo=UTC)] * 2,
           ["2024-02-29 23:59:59+00:00", "1931-01-01 00:00:00.500000+00:00"] * 2),
    "none": (pa.null(), [None] * 4, [""] * 4),
    "texts": (pa.list_(pa.string()), [["a", None, "\"b\""], [], None, ["c"]],
              ['["a",null,"\\"b\\""]', "[]", "", '["c"]']),
    "numbers": (pa.large_list(pa.field("element", pa.int32(), nullable=False)),
                [[1, -2], [3], [], [4]], ["[1,-2]", "[3]", "[]", "[4]"]),
    "reals": (pa.list_(pa.float32()), [[0.5, float("inf")], None, [], [1e10]],
              ["[0.5,null]", "", "[]", "[10000000000.0]"]),
}
NAMES = ("text", "yes", "i32", "i64", "f32", "texts")
LEFT_OUT = {
    "image": (pa.struct([("bytes", pa.binary()), ("path", pa.string())]), {"bytes": b"", "path": "p"}),
    "raw": (pa.binary(), b"\xff"),
    "price": (pa.decimal128(9, 2), decimal.Decimal("1.25")),
    "time": (pa.time32("ms"), datetime.time(1, 2)),
    "deep": (pa.list_(pa.list_(pa.int32())), [[1]]),
    "map": (pa.map_(pa.string(), pa.int32()), [("a", 1)]),
    "__index_level_0__": (pa.string(), "r"),
}


def table(names, nulls=True, times=1):
    fields = [pa.field(n, COLUMNS[n][0], nullable=nulls) for n in names]
    return pa.table([pa.array(COLUMNS[n][1] * times, COLUMNS[n][0]) for n in names],
                    schema=pa.schema(fields))


def main():
    expected = {}

    def write(name, content, names, times=1, left_out=(), **options):
        options = {"store_schema": False, "write_statistics": False} | options
        pq.write_table(content, HERE / f"{name}.parquet", **options)
        rows = zip(*(COLUMNS[n][2] for n in names))
        expected[name] = {"columns": list(names), "left_out": list(left_out), "times": times,
                          "rows": [list(row) for row in rows if any(row)]}

    write("types", table(COLUMNS), COLUMNS, compression="snappy")
    # Many small pages, two row groups.
    write("pages", table(NAMES, times=9), NAMES, times=9, compression="zstd", row_group_size=20,
          data_page_version="2.0", data_page_size=1, write_batch_size=5, write_page_checksum=True)
    for version in (1, 2):
        write(f"encodings-{version}", table(NAMES, times=40), NAMES, times=40, compression="gzip",
              use_dictionary=False, data_page_version=f"{version}.0",
              column_encoding={"text": "DELTA_BYTE_ARRAY", "yes": "RLE",
                               "i32": "DELTA_BINARY_PACKED", "i64": "BYTE_STREAM_SPLIT",
                               "f32": "BYTE_STREAM_SPLIT",
                               "texts.list.element": "DELTA_LENGTH_BYTE_ARRAY"})
    write("plain", table(NAMES), NAMES, compression="none", use_dictionary=False)
    left_out = table(["text"])
    for name, (kind, value) in LEFT_OUT.items():
        left_out = left_out.append_column(name, pa.array([value] * 4, kind))
    write("left-out", left_out, ["text"], left_out=LEFT_OUT, compression="none")
    for codec in ("brotli", "lz4"):
        pq.write_table(table(["text"]), HERE / f"{codec}.parquet", compression=codec,
                       store_schema=False)
    names = ("text", "i64", "f64", "texts", "day")
    polars.from_arrow(table(names)).write_parquet(HERE / "polars.parquet", compression="zstd")
    expected["polars"] = expected["types"] | {
        "columns": list(names), "rows": [list(row) for row in zip(*(COLUMNS[n][2] for n in names))]}
    pq.write_table(pa.table({
        "file_name": ["a.png", "b.png", "./a.png"], "label": ["cat", "dog", "cat"],
        "split": ["test", "train", "test"], "caption": ["one", "two", "three"],
        "n": pa.array([1, None, 1], pa.int32()), "score": [0.5, 1.0, 0.5], "box": [[1, 2], [], [1, 2]],
        "good": [True, None, True]}), HERE / "metadata.parquet", compression="snappy",
        store_schema=False)
    text = json.dumps(expected, ensure_ascii=False, separators=(",", ":"))
    (HERE / "expected.json").write_text(text.replace('"],["', '"],\n["') + "\n")


if __name__ == "__main__":
    main()
