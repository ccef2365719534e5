#include "cliplens/io/npy.h"

#include <bit>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "cliplens/base/error.h"
#include "cliplens/io/printable.h"
#include "cliplens/io/random_access_file.h"
#include "cliplens/io/safetensors.h"

namespace cliplens {
namespace {

static_assert(std::endian::native == std::endian::little, "values are copied as they lie in files");

constexpr std::string_view kNpyMagic("\x93NUMPY", 6);
constexpr std::size_t kMaxNpyHeaderBytes = 1 << 20;
constexpr std::size_t kMaxDimensions = 64;  // NumPy's own
constexpr std::size_t kNpyAlignment = 64;

// Reads the header's Python dictionary: exactly the keys 'descr', 'fortran_order' and 'shape', a
// string, a truth value and a tuple of whole numbers. Nothing is evaluated.
class HeaderParser {
 public:
  HeaderParser(std::string_view text, const std::string& name) : text_(text), name_(name) {}

  void Parse() {
    Expect('{');
    while (!Accept('}')) {
      const std::string key = ParseString();
      Expect(':');
      if (key == "descr" && !type) {
        // A structured type is a list of fields.
        SkipBlanks();
        if (at_ < text_.size() && text_[at_] == '[') {
          throw Error(ErrorCode::kUnsupported,
                      "{}: holds records with fields; save one plain array of float32", name_);
        }
        type = ParseString();
      } else if (key == "fortran_order" && !fortran_order) {
        fortran_order = ParseTruth();
      } else if (key == "shape" && !shape) {
        shape = ParseTuple();
      } else {
        Fail(fmt::format("an unknown or second key '{}'", Printable(key, 40)));
      }
      if (!Accept(',')) {
        Expect('}');
        break;
      }
    }
    SkipBlanks();
    if (at_ != text_.size()) Fail("text after the dictionary");
    if (!type || !fortran_order || !shape) {
      Fail("one of the keys 'descr', 'fortran_order' and 'shape' is missing");
    }
  }

  std::optional<std::string> type;
  std::optional<bool> fortran_order;
  std::optional<std::vector<Index>> shape;

 private:
  [[noreturn]] void Fail(const std::string& what) const {
    throw Error(ErrorCode::kCorruptData, "{}: header, character {}: {}; write the file again",
                name_, at_, what);
  }

  void SkipBlanks() {
    while (at_ < text_.size() &&
           (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t')) {
      ++at_;
    }
  }

  bool Accept(char wanted) {
    SkipBlanks();
    if (at_ == text_.size() || text_[at_] != wanted) return false;
    ++at_;
    return true;
  }

  void Expect(char wanted) {
    if (!Accept(wanted)) Fail(fmt::format("a '{}' is wanted", wanted));
  }

  std::string ParseString() {
    SkipBlanks();
    if (at_ == text_.size() || (text_[at_] != '\'' && text_[at_] != '"')) {
      Fail("a string is wanted");
    }
    const char quote = text_[at_++];
    const std::size_t end = text_.find(quote, at_);
    if (end == std::string_view::npos) Fail("a string does not end");
    const std::string_view value = text_.substr(at_, end - at_);
    if (value.find('\\') != std::string_view::npos) Fail("an escape in a string");
    at_ = end + 1;
    return std::string(value);
  }

  bool ParseTruth() {
    SkipBlanks();
    for (const std::string_view word : {"True", "False"}) {
      if (text_.substr(at_).starts_with(word)) {
        at_ += word.size();
        return word == "True";
      }
    }
    Fail("True or False is wanted");
  }

  std::vector<Index> ParseTuple() {
    std::vector<Index> values;
    Expect('(');
    bool comma = true;
    while (!Accept(')')) {
      if (!comma) Fail("a ',' is wanted");
      if (values.size() == kMaxDimensions) {
        Fail(fmt::format("more than {} dimensions", kMaxDimensions));
      }
      values.push_back(ParseNumber());
      comma = Accept(',');
    }
    // Without a comma Python reads (3) as the number 3.
    if (values.size() == 1 && !comma) Fail("a tuple of one number has a ',' after it");
    return values;
  }

  Index ParseNumber() {
    SkipBlanks();
    const std::size_t begin = at_;
    Index value = 0;
    while (at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9') {
      if (__builtin_mul_overflow(value, Index{10}, &value) ||
          __builtin_add_overflow(value, Index{text_[at_] - '0'}, &value)) {
        Fail("a number of 2^63 or more");
      }
      ++at_;
    }
    if (at_ == begin) Fail("a whole number is wanted");
    return value;
  }

  std::string_view text_;
  const std::string& name_;
  std::size_t at_ = 0;
};

Index CountNpyValues(const std::vector<Index>& shape, const std::string& name) {
  const std::optional<Index> bytes = BytesOf(shape, DataType::kF32);
  if (!bytes || shape.size() > kMaxDimensions) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: the shape {} cannot be written; at most {} dimensions of 0 or more are", name,
                Printable(ShapeText(shape)), kMaxDimensions);
  }
  return *bytes / Index{sizeof(float)};
}

}  // namespace

std::string NpyHeader(std::string_view type, std::span<const Index> shape) {
  std::string tuple;
  for (const Index dimension : shape) tuple += fmt::format("{}, ", dimension);
  // Python writes (), (3,) and (3, 4).
  if (!tuple.empty()) tuple.resize(tuple.size() - (shape.size() == 1 ? 1 : 2));
  std::string dictionary =
      fmt::format("{{'descr': '{}', 'fortran_order': False, 'shape': ({}), }}", type, tuple);
  const std::size_t prefix = kNpyMagic.size() + 4;
  const std::size_t unpadded = prefix + dictionary.size() + 1;
  dictionary.append((kNpyAlignment - unpadded % kNpyAlignment) % kNpyAlignment, ' ');
  dictionary += '\n';
  std::string header(kNpyMagic);
  header += '\x01';
  header += '\x00';
  header += static_cast<char>(dictionary.size() & 0xFF);
  header += static_cast<char>(dictionary.size() >> 8);
  return header + dictionary;
}

void WriteNpy(const std::filesystem::path& path, std::span<const float> values,
              std::span<const Index> shape) {
  NpyWriter writer(path, {shape.begin(), shape.end()});
  writer.Append(values);
  writer.Finish();
}

void WriteNpy(OutputFiles& files, const std::filesystem::path& path, std::span<const float> values,
              std::span<const Index> shape) {
  if (path.empty()) return;
  const std::vector<Index> sizes(shape.begin(), shape.end());
  const Index count = CountNpyValues(sizes, PathText(path));
  if (count != static_cast<Index>(values.size())) {
    throw Error(ErrorCode::kInvalidArgument, "{}: {} values for a shape of {}", PathText(path),
                values.size(), count);
  }
  files.Write(path, NpyHeader("<f4", sizes));
  files.Write(path, AsBytes(values));
}

NpyWriter::NpyWriter(const std::filesystem::path& path, std::vector<Index> shape)
    : file_(path), name_(PathText(path)) {
  expected_ = CountNpyValues(shape, name_);
  file_.Write(NpyHeader("<f4", shape));
}

void NpyWriter::Append(std::span<const float> values) {
  const auto count = static_cast<Index>(values.size());
  if (count > expected_ - written_) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: {} values were appended to {}, the shape has {}; append only its own", name_,
                count, written_, expected_);
  }
  file_.Write(AsBytes(values));
  written_ += count;
}

void NpyWriter::Finish() {
  if (written_ != expected_) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: {} values were appended, the shape has {}; append all of them", name_,
                written_, expected_);
  }
  file_.Commit();
}

NpyArray ReadNpy(const std::filesystem::path& path) {
  const RandomAccessFile file(path);
  const std::string name = PathText(path);
  const std::vector<std::uint8_t> bytes = file.ReadStart(kMaxNpyHeaderBytes + 12);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (!text.starts_with(kNpyMagic)) {
    throw Error(ErrorCode::kCorruptData, "{}: does not begin with \\x93NUMPY; name an .npy file",
                name);
  }
  const auto cut_off = [&](std::size_t wanted) {
    throw Error(ErrorCode::kCorruptData,
                "{}: the header ends at byte {}, the file has {}; it is cut off, write it again",
                name, wanted, file.size());
  };
  if (bytes.size() < 8) cut_off(8);
  const int version = bytes[6];
  if (version < 1 || version > 3 || bytes[7] != 0) {
    throw Error(ErrorCode::kUnsupported,
                "{}: is of version {}.{}, 1.0, 2.0 and 3.0 are read; save it again with NumPy",
                name, version, int{bytes[7]});
  }
  const std::size_t length_size = version == 1 ? 2 : 4;
  const std::size_t header_begin = 8 + length_size;
  if (bytes.size() < header_begin) cut_off(header_begin);
  std::size_t header_size = 0;
  for (std::size_t i = 0; i < length_size; ++i) {
    header_size |= std::size_t{bytes[8 + i]} << (8 * i);
  }
  if (header_size > ToSize(file.size()) - header_begin) cut_off(header_begin + header_size);
  if (header_size > kMaxNpyHeaderBytes) {
    throw Error(ErrorCode::kExhausted,
                "{}: the header has {} bytes, at most {} are read; save one plain array", name,
                header_size, kMaxNpyHeaderBytes);
  }
  HeaderParser parser(text.substr(header_begin, header_size), name);
  parser.Parse();

  TensorEntry tensor{.name = name, .type = DataType::kF32, .shape = *parser.shape, .bytes = {}};
  if (*parser.type == "<f8") {
    tensor.type = DataType::kF64;
  } else if (*parser.type == "<f2") {
    tensor.type = DataType::kF16;
  } else if (*parser.type != "<f4") {
    throw Error(ErrorCode::kUnsupported,
                "{}: holds the type '{}', '<f4', '<f8' and '<f2' are read; convert it with "
                "astype('<f4')",
                name, Printable(*parser.type, 40));
  }
  if (*parser.fortran_order) {
    throw Error(ErrorCode::kUnsupported,
                "{}: is in Fortran order, C order is read; save numpy.ascontiguousarray of it",
                name);
  }
  const auto data_begin = static_cast<Index>(header_begin + header_size);
  const std::optional<Index> size = BytesOf(tensor.shape, tensor.type);
  if (size != file.size() - data_begin) {
    const std::string wanted = size ? fmt::format("{} bytes", *size) : "2^63 bytes or more";
    throw Error(ErrorCode::kCorruptData,
                "{}: the shape {} of '{}' takes {}, {} follow the header; write the file again",
                name, Printable(ShapeText(tensor.shape)), *parser.type, wanted,
                file.size() - data_begin);
  }
  const Index count = *size / SizeOf(tensor.type);
  return {tensor.shape, ReadAsFloat(file, data_begin, tensor.type, count, name)};
}

}  // namespace cliplens
