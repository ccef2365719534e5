#include "cliplens/io/safetensors.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <set>
#include <string_view>
#include <type_traits>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cliplens/base/error.h"
#include "cliplens/io/json.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

// The format allows 100 MB, which would take a GB when it is parsed. A tensor takes about 8 values.
constexpr Index kMaxHeaderBytes = Index{32} << 20;
constexpr Index kMaxHeaderValues = Index{1} << 20;
constexpr Index kPrefixBytes = 8;
constexpr Index kAlignment = 64;
constexpr const char* kMetadataKey = "__metadata__";

Index ReadCount(const Json& value, const std::string& where) {
  if (!value.is_number_unsigned() ||
      value.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<Index>::max())) {
    throw Error(ErrorCode::kCorruptData,
                "{} has {}, a whole number from 0 to 2^63 - 1 is wanted; fetch the file again",
                where, Printable(DumpJson(value), 40));
  }
  return static_cast<Index>(value.get<std::uint64_t>());
}

const Json& Member(const Json& object, const char* key, const std::string& where) {
  const auto found = object.find(key);
  if (found == object.end()) {
    throw Error(ErrorCode::kCorruptData, "{} has no \"{}\"; fetch the file again", where, key);
  }
  return *found;
}

// Reads one entry of the header; bytes are relative to the data's start and not yet sliced.
struct Placed {
  TensorEntry entry;
  Index begin = 0;
  Index end = 0;
};

Placed ReadEntry(const std::string& file, const std::string& name, const Json& value) {
  const std::string where = fmt::format("{}: tensor \"{}\"", file, Printable(name));
  if (!value.is_object()) {
    throw Error(ErrorCode::kCorruptData,
                "{} is described by a JSON {}, not an object; fetch the file again", where,
                value.type_name());
  }
  Placed placed;
  placed.entry.name = name;

  const Json& type = Member(value, "dtype", where);
  if (!type.is_string()) {
    throw Error(ErrorCode::kCorruptData,
                "{} has the dtype {}, a string is wanted; fetch the file again", where,
                Printable(DumpJson(type), 40));
  }
  const std::string& type_name = type.get_ref<const std::string&>();
  const std::optional<DataType> known = DataTypeNamed(type_name);
  if (!known) {
    throw Error(
        ErrorCode::kUnsupported,
        "{} has the dtype \"{}\", known are {}, I64, I32, I16, I8, U8 and BOOL; convert the "
        "file",
        where, Printable(type_name, 40), FloatingTypes());
  }
  placed.entry.type = *known;

  const Json& shape = Member(value, "shape", where);
  if (!shape.is_array()) {
    throw Error(ErrorCode::kCorruptData,
                "{} has the shape {}, an array is wanted; fetch the file again", where,
                Printable(DumpJson(shape), 40));
  }
  for (const Json& dimension : shape) {
    placed.entry.shape.push_back(ReadCount(dimension, where + " in its shape"));
  }

  const Json& offsets = Member(value, "data_offsets", where);
  if (!offsets.is_array() || offsets.size() != 2) {
    throw Error(ErrorCode::kCorruptData,
                "{} has the data_offsets {}, two numbers are wanted; fetch the file again", where,
                Printable(DumpJson(offsets), 40));
  }
  placed.begin = ReadCount(offsets[0], where + " in its data_offsets");
  placed.end = ReadCount(offsets[1], where + " in its data_offsets");
  if (placed.begin > placed.end) {
    throw Error(ErrorCode::kCorruptData,
                "{} ends at {} before it begins at {}; fetch the file again", where, placed.end,
                placed.begin);
  }
  const std::optional<Index> size = BytesOf(placed.entry.shape, placed.entry.type);
  if (!size) {
    throw Error(ErrorCode::kCorruptData,
                "{} has the shape {} of {}, whose size does not fit 63 bits; fetch the file again",
                where, Printable(ShapeText(placed.entry.shape)), type_name);
  }
  if (*size != placed.end - placed.begin) {
    throw Error(ErrorCode::kCorruptData,
                "{} has the shape {} of {}, which takes {} bytes, but {} bytes are set aside for "
                "it; fetch the file again",
                where, Printable(ShapeText(placed.entry.shape)), type_name, *size,
                placed.end - placed.begin);
  }
  return placed;
}

constexpr Index kStartBytes = 32;  // what tells a file of another kind

// The length of the header of a file of `size` bytes that begins with `text`.
Index HeaderSize(std::string_view text, Index size, const std::string& name) {
  if (text.starts_with("version https://git-lfs")) {
    throw Error(ErrorCode::kCorruptData,
                "{}: is a Git LFS pointer of {} bytes, not the tensors; run `git lfs pull`", name,
                size);
  }
  if (size < kPrefixBytes + 2) {
    throw Error(ErrorCode::kCorruptData,
                "{}: has {} bytes, a safetensors file at least {}; fetch it again", name, size,
                kPrefixBytes + 2);
  }
  const auto claimed = LoadAs<std::uint64_t>(reinterpret_cast<const std::uint8_t*>(text.data()));
  if (claimed > static_cast<std::uint64_t>(size - kPrefixBytes)) {
    throw Error(ErrorCode::kCorruptData,
                "{}: the header claims {} bytes, {} follow; the file is cut off or no safetensors "
                "file, fetch it again",
                name, claimed, size - kPrefixBytes);
  }
  if (claimed > static_cast<std::uint64_t>(kMaxHeaderBytes)) {
    throw Error(ErrorCode::kExhausted,
                "{}: the header claims {} bytes, at most {} are read; split the file", name,
                claimed, kMaxHeaderBytes);
  }
  const std::string_view begin =
      text.substr(ToSize(kPrefixBytes), std::min<std::size_t>(claimed, 1));
  if (!begin.starts_with('{')) {
    throw Error(ErrorCode::kCorruptData,
                "{}: the header begins with \"{}\", not with \"{{\"; the file is no safetensors "
                "file, name another",
                name, Printable(begin));
  }
  return static_cast<Index>(claimed);
}

std::map<std::string, std::string> ReadMetadata(const Json& value, const std::string& name) {
  std::map<std::string, std::string> metadata;
  if (!value.is_object()) {
    throw Error(ErrorCode::kCorruptData, "{}: {} is a JSON {}, not an object; fetch the file again",
                name, kMetadataKey, value.type_name());
  }
  for (const auto& [field, content] : value.items()) {
    if (!content.is_string()) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: {} has \"{}\" as a JSON {}, strings are wanted; fetch the file again", name,
                  kMetadataKey, Printable(field), content.type_name());
    }
    metadata.emplace(field, content.get<std::string>());
  }
  return metadata;
}

// Gives entries their places in a file whose `size` bytes of data begin at `begin`; together they
// must cover the data exactly. Sorts them by place.
void PlaceInData(std::vector<Placed>& placed, Index begin, Index size, const std::string& name) {
  std::sort(placed.begin(), placed.end(), [](const Placed& a, const Placed& b) {
    return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
  });
  Index covered = 0;
  for (Placed& p : placed) {
    if (p.begin != covered) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: tensor \"{}\" begins at byte {} of the data, the one before it ends at {}; "
                  "gaps and overlaps are not allowed, fetch the file again",
                  name, Printable(p.entry.name), p.begin, covered);
    }
    if (p.end > size) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: tensor \"{}\" ends at byte {} of the data, which has {}; the file is cut "
                  "off, fetch it again",
                  name, Printable(p.entry.name), p.end, size);
    }
    covered = p.end;
    p.entry.offset = begin + p.begin;
  }
  if (covered != size) {
    throw Error(ErrorCode::kCorruptData,
                "{}: the tensors take {} bytes, {} follow the header; fetch the file again", name,
                covered, size);
  }
}

void NeedFloating(DataType type, const std::string& name) {
  if (IsFloating(type)) return;
  throw Error(ErrorCode::kUnsupported,
              "tensor \"{}\": has the type {}, where one of {} is wanted; convert it",
              Printable(name), NameOf(type), FloatingTypes());
}

Index CountOf(const TensorEntry& tensor) {
  Index count = 1;
  for (const Index size : tensor.shape) count *= size;
  return count;
}

template <typename To>
std::vector<To> ReadAs(const RandomAccessFile& file, Index offset, DataType type, Index count) {
  std::vector<To> values(ToSize(count));
  if (std::is_same_v<To, float> && type == DataType::kF32) {
    file.Read(offset, {reinterpret_cast<std::uint8_t*>(values.data()), values.size() * sizeof(To)});
    return values;
  }
  constexpr Index kBlock = Index{64} << 10;
  std::vector<std::uint8_t> bytes;
  VisitType(type, [&](auto element) {
    for (Index at = 0; at < count; at += kBlock) {
      const Index part = std::min(kBlock, count - at);
      bytes.resize(ToSize(part) * element.kBytes);
      file.Read(offset + at * static_cast<Index>(element.kBytes), bytes);
      for (Index i = 0; i < part; ++i) {
        At(values, at + i) =
            static_cast<To>(element.Load(&At(bytes, i * static_cast<Index>(element.kBytes))));
      }
    }
  });
  return values;
}

template <typename To>
std::vector<To> ReadAs(const TensorEntry& tensor) {
  if (BytesOf(tensor.shape, tensor.type) != static_cast<Index>(tensor.bytes.size())) {
    throw Error(ErrorCode::kInvalidArgument,
                "tensor \"{}\": the shape {} of {} does not take {} bytes; pass the bytes of the "
                "whole tensor",
                Printable(tensor.name), Printable(ShapeText(tensor.shape)), NameOf(tensor.type),
                tensor.bytes.size());
  }
  std::vector<To> values(tensor.bytes.size() / ToSize(SizeOf(tensor.type)));
  VisitType(tensor.type, [&](auto element) {
    const std::uint8_t* at = tensor.bytes.data();
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<To>(element.Load(at + i * element.kBytes));
    }
  });
  return values;
}

// The tensors in the order in which they are written: wide types first, so that every tensor lies
// at a multiple of its element's size. Throws for names and sizes that the format cannot hold.
std::vector<const TensorToWrite*> WriteOrder(std::span<const TensorToWrite> tensors,
                                             const std::string& name) {
  std::vector<const TensorToWrite*> order;
  std::set<std::string_view> names;
  for (const TensorToWrite& tensor : tensors) {
    if (tensor.name == kMetadataKey || FindInvalidUtf8(tensor.name) != std::string_view::npos) {
      throw Error(ErrorCode::kInvalidArgument,
                  "{}: \"{}\" cannot name a tensor; use another UTF-8 text", name,
                  Printable(tensor.name));
    }
    if (!names.insert(tensor.name).second) {
      throw Error(ErrorCode::kInvalidArgument, "{}: two tensors are named \"{}\"; rename one", name,
                  Printable(tensor.name));
    }
    if (BytesOf(tensor.shape, tensor.type) != static_cast<Index>(tensor.bytes.size())) {
      throw Error(ErrorCode::kInvalidArgument,
                  "{}: tensor \"{}\" of shape {} and type {} was given {} bytes; pass the bytes of "
                  "the whole tensor",
                  name, Printable(tensor.name), ShapeText(tensor.shape), NameOf(tensor.type),
                  tensor.bytes.size());
    }
    order.push_back(&tensor);
  }
  std::stable_sort(order.begin(), order.end(), [](const TensorToWrite* a, const TensorToWrite* b) {
    return SizeOf(a->type) > SizeOf(b->type);
  });
  return order;
}

// What stands before the data: the header's length, and the header of these tensors, padded so that
// the data are aligned.
std::string SafetensorsHeader(std::span<const TensorToWrite* const> order,
                              const std::map<std::string, std::string>& metadata,
                              const std::string& name) {
  Json::object_t entries;
  Json::object_t::Container& members = entries;  // appends without a look through what is there
  if (!metadata.empty()) {
    Json fields = Json::object();
    for (const auto& [key, value] : metadata) fields[key] = value;
    members.emplace_back(kMetadataKey, std::move(fields));
  }
  Index offset = 0;
  for (const TensorToWrite* tensor : order) {
    const Index end = offset + static_cast<Index>(tensor->bytes.size());
    Json entry = Json::object();
    entry["dtype"] = NameOf(tensor->type);
    entry["shape"] = tensor->shape;
    entry["data_offsets"] = {offset, end};
    members.emplace_back(tensor->name, std::move(entry));
    offset = end;
  }
  std::string header = DumpJson(Json(std::move(entries)));
  const auto unpadded = kPrefixBytes + static_cast<Index>(header.size());
  const Index padded = (unpadded + kAlignment - 1) / kAlignment * kAlignment;
  header.append(ToSize(padded - unpadded), ' ');
  if (static_cast<Index>(header.size()) > kMaxHeaderBytes) {
    throw Error(ErrorCode::kExhausted,
                "{}: the header takes {} bytes, at most {} are written; write fewer tensors", name,
                header.size(), kMaxHeaderBytes);
  }
  const std::uint64_t size = header.size();
  return std::string(reinterpret_cast<const char*>(&size), kPrefixBytes) + header;
}

}  // namespace

SafetensorsView::SafetensorsView(std::span<const std::uint8_t> bytes, std::string name)
    : name_(std::move(name)) {
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const auto size = static_cast<Index>(bytes.size());
  const Index header = HeaderSize(text.substr(0, ToSize(kStartBytes)), size, name_);
  ReadHeader(text.substr(ToSize(kPrefixBytes), ToSize(header)), size);
  for (auto& [key, entry] : tensors_) {
    entry.bytes = bytes.subspan(ToSize(entry.offset), ToSize(*BytesOf(entry.shape, entry.type)));
  }
}

SafetensorsView::SafetensorsView(const RandomAccessFile& file) : name_(PathText(file.path())) {
  const std::vector<std::uint8_t> start = file.ReadStart(kStartBytes);
  const Index header =
      HeaderSize({reinterpret_cast<const char*>(start.data()), start.size()}, file.size(), name_);
  std::vector<std::uint8_t> text(ToSize(header));
  file.Read(kPrefixBytes, text);
  ReadHeader({reinterpret_cast<const char*>(text.data()), text.size()}, file.size());
}

// `size`: of the whole file.
void SafetensorsView::ReadHeader(std::string_view text, Index size) {
  const Json header = ParseJson(text, name_ + ": header", kMaxHeaderValues);
  std::vector<Placed> placed;
  for (const auto& [key, value] : header.items()) {
    if (key == kMetadataKey) {
      metadata_ = ReadMetadata(value, name_);
    } else {
      placed.push_back(ReadEntry(name_, key, value));
    }
  }
  const Index begin = kPrefixBytes + static_cast<Index>(text.size());
  PlaceInData(placed, begin, size - begin, name_);
  for (Placed& p : placed) {
    std::string key = p.entry.name;
    tensors_.emplace(std::move(key), std::move(p.entry));
  }
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : file_(path), view_(file_) {}

std::vector<float> SafetensorsFile::ReadAsFloat(const TensorEntry& tensor) const {
  return ReadAsFloat(tensor, 0, CountOf(tensor));
}

std::vector<float> SafetensorsFile::ReadAsFloat(const TensorEntry& tensor, Index first,
                                                Index count) const {
  if (first < 0 || count < 0 || count > CountOf(tensor) - first) {
    throw Error(ErrorCode::kInvalidArgument,
                "tensor \"{}\": has {} values, {} from number {} on were asked for",
                Printable(tensor.name), CountOf(tensor), count, first);
  }
  return cliplens::ReadAsFloat(file_, tensor.offset + first * SizeOf(tensor.type), tensor.type,
                               count, tensor.name);
}

std::vector<double> SafetensorsFile::ReadNumbers(const TensorEntry& tensor) const {
  return ReadAs<double>(file_, tensor.offset, tensor.type, CountOf(tensor));
}

const TensorEntry& SafetensorsView::at(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    const std::string first =
        tensors_.empty() ? "" : fmt::format(", \"{}\" first", Printable(tensors_.begin()->first));
    throw Error(ErrorCode::kNotFound,
                "{}: has no tensor \"{}\" among its {}{}; check that it is the right file", name_,
                Printable(name), tensors_.size(), first);
  }
  return found->second;
}

std::vector<float> ReadAsFloat(const RandomAccessFile& file, Index offset, DataType type,
                               Index count, const std::string& name) {
  NeedFloating(type, name);
  return ReadAs<float>(file, offset, type, count);
}

std::vector<float> ReadAsFloat(const TensorEntry& tensor) {
  NeedFloating(tensor.type, tensor.name);
  return ReadAs<float>(tensor);
}

std::vector<double> ReadNumbers(const TensorEntry& tensor) { return ReadAs<double>(tensor); }

std::string WriteSafetensors(const std::filesystem::path& path,
                             std::span<const TensorToWrite> tensors,
                             const std::map<std::string, std::string>& metadata) {
  const std::vector<const TensorToWrite*> order = WriteOrder(tensors, PathText(path));
  const std::string header = SafetensorsHeader(order, metadata, PathText(path));
  AtomicFile file(path);
  Hasher hasher;
  hasher.Update(header);
  file.Write(header);
  for (const TensorToWrite* tensor : order) {
    hasher.Update(tensor->bytes);
    file.Write(tensor->bytes);
  }
  file.Commit();
  return hasher.Digest();
}

std::vector<std::uint8_t> SafetensorsBytes(std::span<const TensorToWrite> tensors,
                                           const std::map<std::string, std::string>& metadata) {
  const std::vector<const TensorToWrite*> order = WriteOrder(tensors, "tensors");
  const std::string header = SafetensorsHeader(order, metadata, "tensors");
  std::vector<std::uint8_t> all(header.begin(), header.end());
  for (const TensorToWrite* tensor : order) {
    all.insert(all.end(), tensor->bytes.begin(), tensor->bytes.end());
  }
  return all;
}

}  // namespace cliplens
