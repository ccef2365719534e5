#include "cliplens/io/torch_file.h"

#include <cmath>
#include <filesystem>
#include <string>

#include "tests/expect_error.h"
#include "tests/temporary_directory.h"
#include "tests/torch_builder.h"
#include <gtest/gtest.h>

#include "cliplens/io/file.h"

namespace cliplens {
namespace {

using pickle::Dict;
using pickle::Storage;
using pickle::Tensor;
using std::string_literals::operator""s;

class TorchFileTest : public testing::Test {
 protected:
  std::unique_ptr<TensorFile> Open(const std::string& bytes) const {
    return OpenTensorFile(directory_.Write("a.pt", bytes));
  }
  void Refused(ErrorCode code, const std::string& words, const std::string& bytes) const {
    ExpectError(code, words, [&] { Open(bytes); });
  }
  static std::string OneTensor(const std::string& tensor,
                               const std::string& storage = Values<float>({1, 2, 3, 4, 5, 6})) {
    return TorchArchive(Dict({{"t", tensor}}), {{"0", storage}});
  }

  TemporaryDirectory directory_;
};

TEST_F(TorchFileTest, NamesOfNestedDictionariesAndViews) {
  const std::string storage = Storage("FloatStorage", "0", 6);
  const auto file = Open(TorchArchive(
      Dict({{"epoch", "K\3"},
            {"state_dict", Dict({{"whole", Tensor(storage, 0, {2, 3}, {3, 1})},
                                 {"turned", Tensor(storage, 0, {3, 2}, {1, 3})},
                                 {"part", Tensor(storage, 4, {2}, {1})},
                                 {"every.other", Tensor(storage, 0, {3}, {2})},
                                 {"scalar", Tensor(storage, 5, {}, {})},
                                 {"nothing", Tensor(storage, 6, {0, 3}, {3, 1})}})},
            {"parameter", pickle::Name("torch._utils", "_rebuild_parameter") +
                              pickle::Tuple({Tensor(storage, 1, {1}, {1}), "\x88", "N"}) + "R"}}),
      {{"0", Values<float>({0, 1, 2, 3, 4, 5})}}));
  EXPECT_EQ(file->kind(), "PyTorch file");
  EXPECT_EQ(file->tensors().size(), 7u);
  EXPECT_EQ(file->tensors().at("state_dict.turned").shape, (std::vector<Index>{3, 2}));
  const auto read = [&](const char* name) { return file->ReadAsFloat(name); };
  EXPECT_EQ(read("state_dict.whole"), (std::vector<float>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(read("state_dict.turned"), (std::vector<float>{0, 3, 1, 4, 2, 5}));
  EXPECT_EQ(read("state_dict.part"), (std::vector<float>{4, 5}));
  EXPECT_EQ(read("state_dict.every.other"), (std::vector<float>{0, 2, 4}));
  EXPECT_EQ(read("state_dict.scalar"), (std::vector<float>{5}));
  EXPECT_EQ(read("state_dict.nothing"), (std::vector<float>{}));
  EXPECT_EQ(read("parameter"), (std::vector<float>{1}));
  ExpectError(ErrorCode::kNotFound, "no tensor 'x'", [&] { read("x"); });
}

TEST_F(TorchFileTest, StoragesOfEachType) {
  const auto one = [&](const char* type, const std::string& bytes, int count) {
    return Open(TorchArchive(Dict({{"t", Tensor(Storage(type, "0", count), 0, {count}, {1})}}),
                             {{"0", bytes}}));
  };
  EXPECT_EQ(one("DoubleStorage", Values<double>({1.5, -2}), 2)->ReadAsFloat("t"),
            (std::vector<float>{1.5f, -2}));
  EXPECT_EQ(one("HalfStorage", Values<std::uint16_t>({0x3C00, 0xC000}), 2)->ReadAsFloat("t"),
            (std::vector<float>{1, -2}));
  EXPECT_EQ(one("BFloat16Storage", Values<std::uint16_t>({0x3F80, 0xC000}), 2)->ReadAsFloat("t"),
            (std::vector<float>{1, -2}));
  EXPECT_EQ(one("LongStorage", Values<std::int64_t>({-77}), 1)->ReadScalar("t"), -77);
  EXPECT_EQ(one("IntStorage", Values<std::int32_t>({-77}), 1)->ReadScalar("t"), -77);
  EXPECT_EQ(one("BoolStorage", "\1", 1)->ReadScalar("t"), 1);
  ExpectError(ErrorCode::kUnsupported, "has the type I64",
              [&] { one("LongStorage", Values<std::int64_t>({1}), 1)->ReadAsFloat("t"); });
  ExpectError(ErrorCode::kCorruptData, "one number was expected", [&] {
    one("LongStorage", Values<std::int64_t>({1, 2}), 2)->ReadScalar("t");
  });
  ExpectError(ErrorCode::kUnsupported, "'torch.ComplexFloatStorage'",
              [&] { one("ComplexFloatStorage", std::string(16, '\0'), 2); });
}

TEST_F(TorchFileTest, UntypedStoragesTakeTheTensorsType) {
  const std::string tensor =
      pickle::Name("torch._utils", "_rebuild_tensor_v3") +
      pickle::Tuple(
          {pickle::Tuple({pickle::Text("storage"), pickle::Name("torch.storage", "UntypedStorage"),
                          pickle::Text("0"), pickle::Text("cpu"), pickle::Int(8)}) +
               "Q",
           "K\1", pickle::Ints({1}), pickle::Ints({1}), "\x89", "N",
           pickle::Name("torch", "float32"), "N"}) +
      "R";
  const auto file = Open(OneTensor(tensor, Values<float>({1, 2})));
  EXPECT_EQ(file->ReadAsFloat("t"), (std::vector<float>{2}));
}

TEST_F(TorchFileTest, EightBitFloats) {
  const auto of = [&](const char* type, const std::string& bytes) {
    const std::string tensor =
        pickle::Name("torch._utils", "_rebuild_tensor_v3") +
        pickle::Tuple(
            {pickle::Tuple({pickle::Text("storage"),
                            pickle::Name("torch.storage", "UntypedStorage"), pickle::Text("0"),
                            pickle::Text("cpu"), pickle::Int(static_cast<int>(bytes.size()))}) +
                 "Q",
             "K\0"s, pickle::Ints({static_cast<std::int64_t>(bytes.size())}), pickle::Ints({1}),
             "\x89", "N", pickle::Name("torch", type), "N"}) +
        "R";
    return Open(OneTensor(tensor, bytes))->ReadAsFloat("t");
  };
  EXPECT_EQ(of("float8_e4m3fn", "\x38\xb8\x7e\x01\x08"),
            (std::vector<float>{1, -1, 448, 0x1p-9F, 0x1p-6F}));
  EXPECT_EQ(of("float8_e5m2", "\x3c\xc0\x7b\x01"), (std::vector<float>{1, -2, 57344, 0x1p-16F}));
  EXPECT_TRUE(std::isnan(of("float8_e4m3fn", "\xff").at(0)));
  ExpectError(ErrorCode::kUnsupported, "'torch.float8_e4m3fnuz'",
              [&] { of("float8_e4m3fnuz", "\x38"); });
}

// A NumPy array as pickle protocols 2 and 5 write it.
std::string NumpyType(const char* type, const char* order = "<") {
  return pickle::Name("numpy", "dtype") + pickle::Tuple({pickle::Text(type), "\x89", "\x88"}) +
         "R" + pickle::Tuple({"K\3", pickle::Text(order), "N", "N", "N"}) + "b";
}
std::string NumpyArray(const std::string& type, const std::vector<std::int64_t>& shape,
                       const std::string& bytes, bool columns_first = false) {
  return pickle::Name("numpy.core.multiarray", "_reconstruct") +
         pickle::Tuple({pickle::Name("numpy", "ndarray"), pickle::Ints({0}), "C\1b"}) + "R" +
         pickle::Tuple({"K\1", pickle::Ints(shape), type, columns_first ? "\x88" : "\x89", bytes}) +
         "b";
}
std::string RawBytes(const std::string& bytes) {
  return "B" + Bytes(static_cast<std::uint32_t>(bytes.size())) + bytes;
}
std::string Latin1(const std::string& utf8) {
  return pickle::Name("_codecs", "encode") +
         pickle::Tuple({pickle::Text(utf8), pickle::Text("latin1")}) + "R";
}

TEST_F(TorchFileTest, NumPysArraysAreTensors) {
  const std::string six = RawBytes(Values<float>({0, 1, 2, 3, 4, 5}));
  const auto file = Open(TorchArchive(
      Dict({{"rows", NumpyArray(NumpyType("f4"), {2, 3}, six)},
            {"columns", NumpyArray(NumpyType("f4"), {2, 3}, six, true)},
            {"half", NumpyArray(NumpyType("f2"), {1}, Latin1("\0\xc2\xbc"s))},
            {"scalar", NumpyArray(NumpyType("f8"), {}, RawBytes(Values<double>({2.5})))},
            {"buffer",
             pickle::Name("numpy._core.numeric", "_frombuffer") +
                 pickle::Tuple({six, NumpyType("f4"), pickle::Ints({3, 2}), pickle::Text("F")}) +
                 "R"},
            {"words", NumpyArray(NumpyType("U3"), {1}, RawBytes(std::string(12, 'x')))},
            {"objects", NumpyArray(NumpyType("O"), {1}, "](NNe")}}),
      {}));
  const auto read = [&](const char* name) { return file->ReadAsFloat(name); };
  EXPECT_EQ(read("rows"), (std::vector<float>{0, 1, 2, 3, 4, 5}));
  EXPECT_EQ(read("columns"), (std::vector<float>{0, 2, 4, 1, 3, 5}));
  EXPECT_EQ(read("half"), (std::vector<float>{-1}));
  EXPECT_EQ(read("scalar"), (std::vector<float>{2.5}));
  EXPECT_EQ(file->tensors().at("buffer").shape, (std::vector<Index>{3, 2}));
  EXPECT_EQ(read("buffer"), (std::vector<float>{0, 3, 1, 4, 2, 5}));
  // What holds no numbers is no tensor.
  EXPECT_EQ(file->tensors().size(), 5u);

  const auto refused = [&](ErrorCode code, const char* words, const std::string& array) {
    Refused(code, words, TorchArchive(Dict({{"a", array}}), {}));
  };
  refused(ErrorCode::kUnsupported, "array 'a' is big-endian",
          NumpyArray(NumpyType("f4", ">"), {1}, RawBytes("abcd")));
  refused(ErrorCode::kCorruptData, "reaches beyond", NumpyArray(NumpyType("f4"), {7}, six));
  refused(ErrorCode::kCorruptData, "of shape [5] has 24 bytes",
          NumpyArray(NumpyType("f4"), {5}, six));
  refused(ErrorCode::kCorruptData, "shape",
          NumpyArray(NumpyType("f4"), {std::int64_t{1} << 62, 8, 8}, six));
  refused(ErrorCode::kCorruptData, "other characters than bytes",
          NumpyArray(NumpyType("u1"), {1}, Latin1("\xc4\x80")));
}

TEST_F(TorchFileTest, ATorchScriptArchiveIsANestedDictionary) {
  const std::string storage = Storage("FloatStorage", "0", 2);
  const std::string program = pickle::Module(
      "clip",
      {{"training", "\x88"},
       {"visual", pickle::Module("clip.visual",
                                 {{"proj", Tensor(storage, 0, {2}, {1})},
                                  {"names", pickle::Name("torch.jit._pickle", "build_intlist") +
                                                pickle::Tuple({"](K\1e"}) + "R"}})}});
  ZipBuilder zip;
  zip.Add("m/data.pkl", pickle::kHead + program + ".");
  zip.Add("m/code/__torch__/clip.py", "import os");
  zip.Add("m/constants.pkl", pickle::kHead + ").");
  zip.Add("m/tensors/0", Values<float>({1, 2}));
  const auto file = Open(zip.Finish());
  EXPECT_EQ(file->kind(), "TorchScript archive");
  EXPECT_EQ(file->tensors().size(), 1u);
  EXPECT_EQ(file->ReadAsFloat("visual.proj"), (std::vector<float>{1, 2}));
}

TEST_F(TorchFileTest, AnArchiveThatNamesOsSystemIsRefusedAndNothingHappens) {
  const std::filesystem::path proof = directory_.path() / "proof";
  const std::string command = "touch " + proof.string();
  for (const char* module : {"os", "posix", "nt"}) {
    Refused(ErrorCode::kUnsupported, fmt::format("'{}.system'", module),
            TorchArchive(
                pickle::Name(module, "system") + pickle::Tuple({pickle::Text(command)}) + "R", {}));
  }
  Refused(ErrorCode::kUnsupported, "'builtins.eval'",
          TorchArchive(Dict({{"state_dict", pickle::Name("builtins", "eval") +
                                                pickle::Tuple({pickle::Text("1")}) + "R"}}),
                       {}));
  // The older format too, in its very first pickle.
  Refused(
      ErrorCode::kUnsupported, "'os.system'",
      pickle::kHead + pickle::Name("os", "system") + pickle::Tuple({pickle::Text(command)}) + "R.");
  EXPECT_FALSE(std::filesystem::exists(proof));
}

TEST_F(TorchFileTest, ViewsThatLeaveTheirStorage) {
  const std::string storage = Storage("FloatStorage", "0", 6);
  const auto corrupt = [&](const std::string& tensor, const char* words) {
    Refused(ErrorCode::kCorruptData, words, OneTensor(tensor));
  };
  OpenTensorFile(directory_.Write("a.pt", OneTensor(Tensor(storage, 0, {2, 3}, {3, 1}))));
  corrupt(Tensor(storage, 1, {2, 3}, {3, 1}), "reaches beyond its storage");
  corrupt(Tensor(storage, 7, {}, {}), "reaches beyond its storage");
  corrupt(Tensor(storage, 0, {2}, {6}), "reaches beyond its storage");
  corrupt(Tensor(storage, -1, {2}, {1}), "offset");
  corrupt(Tensor(storage, 0, {-2}, {1}), "shape");
  corrupt(Tensor(storage, 0, {2}, {-1}), "strides");
  corrupt(Tensor(storage, 0, {2, 2}, {1}), "2 dimensions and 1 strides");
  const std::int64_t huge = std::int64_t{1} << 62;
  corrupt(Tensor(storage, 0, {huge, huge}, {1, 1}), "reaches beyond its storage");
  corrupt(Tensor(storage, 0, {3, 3}, {huge, huge}), "reaches beyond its storage");
  corrupt(Tensor(storage, std::int64_t{0x7FFFFFFFFFFFFFFF}, {1}, {1}), "reaches beyond");
  corrupt(Tensor(Storage("FloatStorage", "0", 7), 0, {7}, {1}), "of 28 bytes, which holds 24");
  corrupt(Tensor(Storage("FloatStorage", "9", 6), 0, {6}, {1}), "storage '9'");
  corrupt(Tensor("N", 0, {6}, {1}), "not of a storage");
  corrupt(Tensor("NQ", 0, {6}, {1}), "not described as torch.save does");
  Refused(ErrorCode::kUnsupported, "repeats", OneTensor(Tensor(storage, 0, {1000000, 6}, {0, 1})));
}

TEST_F(TorchFileTest, NestingAndRepetitionAreBounded) {
  std::string deep = "K\1";
  for (int i = 0; i < 80; ++i) deep = Dict({{"a", deep}});
  Refused(ErrorCode::kExhausted, "levels deep", TorchArchive(deep, {}));
  // Each level holds the one below twice: 2^40 values from a few bytes.
  std::string doubled = "}q\1";
  for (int i = 0; i < 40; ++i) {
    doubled = "}(" + pickle::Text("a") + doubled + pickle::Text("b") + std::string("h") +
              static_cast<char>(i + 1) + "u" + "q" + static_cast<char>(i + 2);
  }
  Refused(ErrorCode::kExhausted, "values", TorchArchive(doubled, {}));
  // A dictionary that holds itself.
  Refused(ErrorCode::kExhausted, "levels deep",
          TorchArchive("}q\1" + pickle::Text("a") + "h\1s", {}));
  Refused(ErrorCode::kExhausted, "bytes",
          TorchArchive(Dict({{std::string(2000, 'a'), "K\1"}}), {}));
  const std::string t = Tensor(Storage("FloatStorage", "0", 1), 0, {1}, {1});
  Refused(ErrorCode::kCorruptData, "stands twice",
          TorchArchive(Dict({{"a.b", t}, {"a", Dict({{"b", t}})}}), {{"0", Values<float>({1})}}));
}

TEST_F(TorchFileTest, BigEndianFilesAreRefused) {
  ZipBuilder zip;
  zip.Add("a/data.pkl", pickle::kHead + "}.");
  zip.Add("a/byteorder", "big");
  Refused(ErrorCode::kUnsupported, "byte order is 'big'", zip.Finish());
}

TEST_F(TorchFileTest, ArchivesThatAreDamaged) {
  const std::string whole = OneTensor(Tensor(Storage("FloatStorage", "0", 6), 0, {6}, {1}));
  Refused(ErrorCode::kCorruptData, "no zip archive", whole.substr(0, whole.size() - 40));
  Refused(ErrorCode::kCorruptData, "no zip archive", whole.substr(0, 100));
  ZipBuilder none;
  none.Add("a/other", "x");
  Refused(ErrorCode::kUnsupported, "without data.pkl", none.Finish());
  ZipBuilder two;
  two.Add("a/data.pkl", pickle::kHead + "}.");
  two.Add("b/data.pkl", pickle::kHead + "}.");
  Refused(ErrorCode::kCorruptData, "two data.pkl", two.Finish());
  ZipBuilder twice;
  twice.Add("a/data.pkl", pickle::kHead + "}.");
  twice.Add("a/data.pkl", pickle::kHead + "}.");
  Refused(ErrorCode::kCorruptData, "stands twice", twice.Finish());
}

TEST_F(TorchFileTest, EntriesAreReadNoFurtherThanTheyDeclare) {
  const std::string program =
      pickle::kHead + Dict({{"t", Tensor(Storage("FloatStorage", "0", 2), 0, {2}, {1})}}) + ".";
  const std::string values = Values<float>({1, 2});
  const auto with = [&](const ZipBuilder::Changes& changes, const std::string& data) {
    ZipBuilder zip;
    zip.Add("a/data.pkl", program, {.deflate = true});
    zip.Add("a/data/0", data, changes);
    return Open(zip.Finish());
  };
  EXPECT_EQ(with({.deflate = true}, values)->ReadAsFloat("t"), (std::vector<float>{1, 2}));
  // PyTorch can leave the checksum out.
  EXPECT_EQ(with({.checksum = false}, values)->ReadAsFloat("t"), (std::vector<float>{1, 2}));
  ExpectError(ErrorCode::kCorruptData, "checksum",
              [&] { with({.flip_checksum = 1}, values)->ReadAsFloat("t"); });
  ExpectError(ErrorCode::kCorruptData, "a/data/0", [&] {
    with({.deflate = true, .claimed_size = 8}, values + values)->ReadAsFloat("t");
  });
  ExpectError(ErrorCode::kCorruptData, "a/data/0", [&] {
    with({.deflate = true, .claimed_size = 8}, values.substr(0, 4))->ReadAsFloat("t");
  });
  ExpectError(ErrorCode::kCorruptData, "claims 4000000000 bytes",
              [&] { with({.deflate = true, .claimed_size = 4'000'000'000}, values); });
  ExpectError(ErrorCode::kUnsupported, "stored and deflated",
              [&] { with({.method = 98, .claimed_size = 8}, values)->ReadAsFloat("t"); });
}

std::string Legacy(const std::string& program, const std::string& keys, const std::string& rest,
                   const std::string& little = "\x88") {
  return pickle::kHead + std::string("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 12) + "." +
         pickle::kHead + std::string("M\xe9\x03") + "." + pickle::kHead +
         Dict({{"protocol_version", "M\xe9\x03"}, {"little_endian", little}}) + "." +
         pickle::kHead + program + "." + pickle::kHead + keys + "." + rest;
}

TEST_F(TorchFileTest, TheOlderFormat) {
  const auto storage = [](const char* key, int count, const std::string& part = "N") {
    return pickle::Tuple({pickle::Text("storage"), pickle::Name("torch", "FloatStorage"),
                          pickle::Text(key), pickle::Text("cpu"), pickle::Int(count), part}) +
           "Q";
  };
  const std::string program =
      Dict({{"a", Tensor(storage("7", 3), 0, {3}, {1})},
            {"b", Tensor(storage("5", 2), 1, {1}, {1})},
            {"part", Tensor(storage("7", 3, pickle::Tuple({pickle::Text("8"), "K\1", "K\2"})), 1,
                            {1}, {1})}});
  const std::string keys = "](" + pickle::Text("5") + pickle::Text("7") + "e";
  const std::string rest = Bytes(std::int64_t{2}) + Values<float>({8, 9}) + Bytes(std::int64_t{3}) +
                           Values<float>({1, 2, 3});
  const auto file = Open(Legacy(program, keys, rest));
  EXPECT_EQ(file->ReadAsFloat("a"), (std::vector<float>{1, 2, 3}));
  EXPECT_EQ(file->ReadAsFloat("b"), (std::vector<float>{9}));
  EXPECT_EQ(file->ReadAsFloat("part"), (std::vector<float>{3}));

  Refused(ErrorCode::kCorruptData, "cut off",
          Legacy(program, keys, rest.substr(0, rest.size() - 1)));
  Refused(ErrorCode::kCorruptData, "cut off", Legacy(program, keys, rest.substr(0, 10)));
  Refused(ErrorCode::kCorruptData, "of which the file has 0",
          Legacy(program, "](" + pickle::Text("5") + "e", rest));
  Refused(ErrorCode::kCorruptData, "elements does not fit",
          Legacy(program, keys, Bytes(std::int64_t{-1}) + rest.substr(8)));
  Refused(ErrorCode::kCorruptData, "of 12 bytes, of which the file has 8",
          Legacy(program, keys,
                 Bytes(std::int64_t{2}) + Values<float>({8, 9}) + Bytes(std::int64_t{2}) +
                     Values<float>({1, 2})));
  Refused(ErrorCode::kUnsupported, "byte order is 'big'", Legacy(program, keys, rest, "\x89"));
  Refused(ErrorCode::kCorruptData, "not one that torch.save wrote", pickle::kHead + "K\1.");
}

TEST_F(TorchFileTest, ShardsAreOneSetOfTensors) {
  const auto shard = [&](const char* file, const char* tensor, float value) {
    directory_.Write(
        file, TorchArchive(Dict({{tensor, Tensor(Storage("FloatStorage", "0", 1), 0, {1}, {1})}}),
                           {{"0", Values<float>({value})}}));
  };
  shard("m-1.bin", "a", 1);
  shard("m-2.bin", "b", 2);
  const auto open = [&](const std::string& map) {
    return OpenTensorFile(directory_.Write("pytorch_model.bin.index.json",
                                           "{\"metadata\": {}, \"weight_map\": " + map + "}"));
  };
  const auto both = open(R"({"a": "m-1.bin", "b": "m-2.bin"})");
  EXPECT_EQ(both->ReadAsFloat("b"), (std::vector<float>{2}));
  EXPECT_EQ(both->files().size(), 3u);
  EXPECT_EQ(both->FileOf("b").filename(), "m-2.bin");
  ExpectError(ErrorCode::kCorruptData, "'c' is not in m-1.bin",
              [&] { open(R"({"c": "m-1.bin"})"); });
  ExpectError(ErrorCode::kNotFound, "m-3.bin: is missing", [&] { open(R"({"a": "m-3.bin"})"); });
  for (const char* outside : {"../m-1.bin", "/etc/passwd", "..", ""}) {
    ExpectError(ErrorCode::kCorruptData, "no name of a file beside it",
                [&] { open(fmt::format(R"({{"a": "{}"}})", outside)); });
  }
  ExpectError(ErrorCode::kCorruptData, "as a file of tensors",
              [&] { open(R"({"a": "pytorch_model.bin.index.json"})"); });
  ExpectError(ErrorCode::kCorruptData, "weight_map",
              [&] { OpenTensorFile(directory_.Write("x.json", "{}")); });
}

}  // namespace
}  // namespace cliplens
