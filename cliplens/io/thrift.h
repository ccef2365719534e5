// Thrift's compact protocol, in which Parquet writes what it says of its data.
//
//   ThriftReader reader(ByteCursor(footer, "t.parquet: footer"));
//   reader.Struct([&](Index id, ThriftType type) {
//     if (id == 3) rows = reader.Integer(type);
//     return id == 3;                              // the reader skips all other fields
//   });
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>

#include "cliplens/base/array.h"
#include "cliplens/io/byte_cursor.h"

namespace cliplens {

enum class ThriftType : std::uint8_t {
  kStop,
  kTrue,
  kFalse,
  kByte,
  kI16,
  kI32,
  kI64,
  kDouble,
  kBinary,
  kList,
  kSet,
  kMap,
  kStruct,
};

// Members take the type that the file gives for a value, and throw Error(kCorruptData) if another
// kind of value is wanted, and where bytes are missing. What is skipped nests at most 64 deep.
class ThriftReader {
 public:
  explicit ThriftReader(ByteCursor cursor) : cursor_(std::move(cursor)) {}

  const ByteCursor& cursor() const { return cursor_; }

  bool Boolean(ThriftType type);
  std::int64_t Integer(ThriftType type);
  // Lives as long as the bytes that are read.
  std::string_view Binary(ThriftType type);

  // Calls `take(id, type)` for each field; it reads the value and returns true, or leaves it.
  template <typename Take>
  void Struct(Take&& take) {
    Index id = 0;
    while (true) {
      const ThriftType type = FieldHead(&id);
      if (type == ThriftType::kStop) return;
      if (!take(id, type)) Skip(type, 0);
    }
  }
  template <typename Take>
  void Struct(ThriftType type, Take&& take) {
    Want(type == ThriftType::kStruct);
    Struct(std::forward<Take>(take));
  }

  // Calls `take(type)` for each element, after `begin(count)`. There are no more than bytes.
  template <typename Begin, typename Take>
  void List(ThriftType type, Begin&& begin, Take&& take) {
    const auto [element, count] = ListHead(type);
    begin(count);
    for (Index i = 0; i < count; ++i) take(element);
  }

 private:
  void Want(bool is_wanted) const {
    if (!is_wanted) cursor_.Fail("a value is of another type than Parquet gives it");
  }
  ThriftType TypeOf(int code) const;
  ThriftType FieldHead(Index* id);
  std::pair<ThriftType, Index> ListHead(ThriftType type);
  void Skip(ThriftType type, int depth);
  void SkipElement(ThriftType type, int depth);

  ByteCursor cursor_;
};

}  // namespace cliplens
