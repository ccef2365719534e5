#include "cliplens/io/matlab5.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/io/data_type.h"
#include "cliplens/io/file.h"
#include "cliplens/io/inflate.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr Index kMaxBytes = Index{16} << 20;
constexpr std::size_t kHeaderBytes = 128;
constexpr int kMaxMatrixDepth = 16;

// Types of elements and classes of arrays, "MAT-File Format", MathWorks.
enum : std::uint32_t {
  kInt8 = 1,
  kUint8 = 2,
  kInt16 = 3,
  kUint16 = 4,
  kInt32 = 5,
  kUint32 = 6,
  kSingle = 7,
  kDouble = 9,
  kInt64 = 12,
  kUint64 = 13,
  kMatrix = 14,
  kCompressed = 15,
  kUtf8 = 16,
};
enum : std::uint32_t {
  kCellClass = 1,
  kStructClass = 2,
  kCharClass = 4,
  kDoubleClass = 6,
  kUint64Class = 15
};

using Bytes = std::span<const std::uint8_t>;

struct Element {
  std::uint32_t type;
  Bytes bytes;
};

class Reader {
 public:
  Reader(Bytes bytes, const std::string& name) : rest_(bytes), name_(name) {}

  bool empty() const { return rest_.empty(); }

  Element Next() {
    const std::uint32_t first = Word(0);
    if (const std::uint32_t size = first >> 16; size != 0) {  // the short form: all in eight bytes
      if (size > 4 || rest_.size() < 8) Refuse("an element of the short form is too long");
      const Element element = {first & 0xffffU, rest_.subspan(4, size)};
      rest_ = rest_.subspan(8);
      return element;
    }
    const std::uint32_t size = Word(4);
    if (size > rest_.size() - 8) {
      throw Error(ErrorCode::kCorruptData, "{}: an element claims {} bytes, {} are left", name_,
                  size, rest_.size() - 8);
    }
    const Element element = {first, rest_.subspan(8, size)};
    const std::size_t padded = first == kCompressed ? size : (std::size_t{size} + 7) / 8 * 8;
    rest_ = rest_.subspan(std::min(8 + padded, rest_.size()));
    return element;
  }

  [[noreturn]] void Refuse(const char* what) const {
    throw Error(ErrorCode::kCorruptData, "{}: {}; fetch the file again", name_, what);
  }

 private:
  std::uint32_t Word(std::size_t at) const {
    if (rest_.size() < at + 4) Refuse("ends inside an element");
    return LoadAs<std::uint32_t>(rest_.data() + at);
  }

  Bytes rest_;
  const std::string& name_;
};

template <typename T>
std::vector<double> NumbersAs(Bytes bytes) {
  std::vector<double> numbers;
  for (std::size_t i = 0; i + sizeof(T) <= bytes.size(); i += sizeof(T)) {
    numbers.push_back(static_cast<double>(LoadAs<T>(bytes.data() + i)));
  }
  return numbers;
}

std::vector<double> Numbers(const Element& element, const Reader& reader) {
  switch (element.type) {
    case kInt8:
      return NumbersAs<std::int8_t>(element.bytes);
    case kUint8:
      return NumbersAs<std::uint8_t>(element.bytes);
    case kInt16:
      return NumbersAs<std::int16_t>(element.bytes);
    case kUint16:
      return NumbersAs<std::uint16_t>(element.bytes);
    case kInt32:
      return NumbersAs<std::int32_t>(element.bytes);
    case kUint32:
      return NumbersAs<std::uint32_t>(element.bytes);
    case kSingle:
      return NumbersAs<float>(element.bytes);
    case kDouble:
      return NumbersAs<double>(element.bytes);
    case kInt64:
      return NumbersAs<std::int64_t>(element.bytes);
    case kUint64:
      return NumbersAs<std::uint64_t>(element.bytes);
    default:
      reader.Refuse("an element has no type of numbers");
  }
}

// Characters as UTF-8; those outside the first plane are not put together.
std::string Text(const Element& element, const Reader& reader) {
  if (element.type == kUtf8) return {element.bytes.begin(), element.bytes.end()};
  std::string text;
  for (const double number : Numbers(element, reader)) {
    const auto code = static_cast<std::uint32_t>(std::clamp(number, 0.0, 65535.0));
    if (code < 0x80) {
      text += static_cast<char>(code);
    } else if (code < 0x800) {
      text += {static_cast<char>(0xC0U | (code >> 6)), static_cast<char>(0x80U | (code & 0x3FU))};
    } else {
      text += {static_cast<char>(0xE0U | (code >> 12)),
               static_cast<char>(0x80U | ((code >> 6) & 0x3FU)),
               static_cast<char>(0x80U | (code & 0x3FU))};
    }
  }
  return text;
}

// The name and value of a matrix; no value for kinds that are passed over.
std::pair<std::string, std::optional<MatlabValue>> ParseMatrix(Bytes bytes, const std::string& name,
                                                               int depth) {
  Reader reader(bytes, name);
  if (bytes.empty()) return {"", MatlabValue{}};  // how an empty field is written
  if (depth > kMaxMatrixDepth) reader.Refuse("values are nested too deep");
  const Element flags = reader.Next();
  if (flags.type != kUint32 || flags.bytes.size() < 4) reader.Refuse("an array has no flags");
  const std::uint32_t array_class = flags.bytes[0];
  const bool complex = (flags.bytes[1] & 8U) != 0;
  MatlabValue value;
  value.size = 1;
  for (const double d : Numbers(reader.Next(), reader)) {
    // Each element takes at least a bit of the file.
    if (!(d >= 0 && d <= static_cast<double>(kMaxBytes)) ||
        value.size * static_cast<Index>(d) > kMaxBytes) {
      reader.Refuse("an array claims more elements than the file can hold");
    }
    value.size *= static_cast<Index>(d);
  }
  const Element name_element = reader.Next();
  std::string own_name(name_element.bytes.begin(), name_element.bytes.end());
  std::size_t parts = 1;  // elements for each place of the array
  if (array_class == kCellClass) {
    value.kind = MatlabValue::Kind::kCells;
  } else if (array_class == kStructClass) {
    value.kind = MatlabValue::Kind::kStructures;
    const std::vector<double> width = Numbers(reader.Next(), reader);
    const Element names = reader.Next();
    if (width.size() != 1 || !(width[0] >= 1 && width[0] <= 4096)) {
      reader.Refuse("the names of a structure's fields have no length");
    }
    const auto w = ToSize(width[0]);
    for (std::size_t at = 0; at + w <= names.bytes.size(); at += w) {
      const Bytes field = names.bytes.subspan(at, w);
      value.fields.emplace_back(field.begin(), std::ranges::find(field, 0));
    }
    parts = value.fields.size();
  } else if (array_class == kCharClass) {
    value.kind = MatlabValue::Kind::kText;
    if (value.size > 0) value.text = Text(reader.Next(), reader);
    return {std::move(own_name), std::move(value)};
  } else if (array_class >= kDoubleClass && array_class <= kUint64Class && !complex) {
    if (value.size > 0) value.numbers = Numbers(reader.Next(), reader);
    if (static_cast<Index>(value.numbers.size()) != value.size) {
      reader.Refuse("an array has another number of values than its shape");
    }
    return {std::move(own_name), std::move(value)};
  } else {
    return {std::move(own_name), std::nullopt};
  }
  for (Index i = 0; i < value.size * static_cast<Index>(parts); ++i) {
    if (reader.empty()) reader.Refuse("a cell or a field is missing");
    const Element element = reader.Next();
    if (element.type != kMatrix) reader.Refuse("a cell or a field is no array");
    value.elements.push_back(
        ParseMatrix(element.bytes, name, depth + 1).second.value_or(MatlabValue{}));
  }
  return {std::move(own_name), std::move(value)};
}

}  // namespace

const MatlabValue& MatlabValue::Field(Index i, std::string_view name) const {
  const auto found = std::ranges::find(fields, name);
  if (kind != Kind::kStructures || found == fields.end() || i < 0 || i >= size) {
    throw Error(ErrorCode::kCorruptData, "no field '{}' of structure {}", name, i);
  }
  return elements[ToSize(i) * fields.size() + ToSize(found - fields.begin())];
}

std::map<std::string, MatlabValue> ReadMatlab5(const std::filesystem::path& path) {
  const std::string name = PathText(path);
  const std::vector<std::uint8_t> file = ReadFile(path, kMaxBytes);
  const Bytes bytes = file;
  const std::string_view begin(reinterpret_cast<const char*>(file.data()),
                               std::min(file.size(), kHeaderBytes));
  if (begin.starts_with("MATLAB 7.3")) {
    throw Error(ErrorCode::kUnsupported,
                "{}: is a MATLAB 7.3 file, one of version 5 was expected; save it with -v7", name);
  }
  if (bytes.size() < kHeaderBytes || bytes[126] != 'I' || bytes[127] != 'M') {
    throw Error(ErrorCode::kUnsupported, "{}: is no (little-endian) MATLAB 5 file", name);
  }
  std::map<std::string, MatlabValue> variables;
  Reader reader(bytes.subspan(kHeaderBytes), name);
  Index left = kMaxBytes;  // of what all packed variables may take together
  while (!reader.empty()) {
    Element element = reader.Next();
    std::vector<std::uint8_t> unpacked;
    if (element.type == kCompressed) {
      unpacked = Inflate(element.bytes, name, left);
      left -= static_cast<Index>(unpacked.size());
      element = Reader(unpacked, name).Next();
    }
    if (element.type != kMatrix) continue;
    auto [variable, value] = ParseMatrix(element.bytes, name, 0);
    if (value) variables.insert_or_assign(variable, std::move(*value));
  }
  return variables;
}

}  // namespace cliplens
