#include "cliplens/io/thrift.h"

#include <limits>

namespace cliplens {
namespace {

constexpr int kMaxThriftDepth = 64;

}  // namespace

bool ThriftReader::Boolean(ThriftType type) {
  Want(type == ThriftType::kTrue || type == ThriftType::kFalse);
  return type == ThriftType::kTrue;
}

std::int64_t ThriftReader::Integer(ThriftType type) {
  if (type == ThriftType::kByte) return static_cast<std::int8_t>(cursor_.Byte());
  Want(type == ThriftType::kI16 || type == ThriftType::kI32 || type == ThriftType::kI64);
  return cursor_.ZigZag();
}

std::string_view ThriftReader::Binary(ThriftType type) {
  Want(type == ThriftType::kBinary);
  const auto bytes = cursor_.Take(cursor_.Varint());
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

ThriftType ThriftReader::TypeOf(int code) const {
  if (code > static_cast<int>(ThriftType::kStruct))
    cursor_.Fail("a type that Thrift does not have");
  return static_cast<ThriftType>(code);
}

ThriftType ThriftReader::FieldHead(Index* id) {
  const std::uint8_t head = cursor_.Byte();
  const ThriftType type = TypeOf(head & 15);
  if (type == ThriftType::kStop) return type;
  // The upper half is the distance from the field before, or 0 where the number itself follows.
  *id = head >> 4 != 0 ? *id + (head >> 4) : cursor_.ZigZag();
  if (*id < 0 || *id > std::numeric_limits<std::int16_t>::max()) {
    cursor_.Fail("the number of a field is out of range");
  }
  return type;
}

std::pair<ThriftType, Index> ThriftReader::ListHead(ThriftType type) {
  Want(type == ThriftType::kList || type == ThriftType::kSet);
  const std::uint8_t head = cursor_.Byte();
  const std::uint64_t count = head >> 4 != 15 ? std::uint64_t{head} >> 4 : cursor_.Varint();
  // Each element takes a byte at least.
  if (count > cursor_.rest().size()) cursor_.Fail("a list is longer than what is left");
  return {TypeOf(head & 15), static_cast<Index>(count)};
}

void ThriftReader::Skip(ThriftType type, int depth) {
  if (depth > kMaxThriftDepth) cursor_.Fail("it nests too deep");
  switch (type) {
    case ThriftType::kTrue:
    case ThriftType::kFalse:
      return;  // the type is the value
    case ThriftType::kByte:
      cursor_.Byte();
      return;
    case ThriftType::kI16:
    case ThriftType::kI32:
    case ThriftType::kI64:
      cursor_.Varint();
      return;
    case ThriftType::kDouble:
      cursor_.Take(sizeof(double));
      return;
    case ThriftType::kBinary:
      cursor_.Take(cursor_.Varint());
      return;
    case ThriftType::kList:
    case ThriftType::kSet: {
      const auto [element, count] = ListHead(type);
      for (Index i = 0; i < count; ++i) SkipElement(element, depth + 1);
      return;
    }
    case ThriftType::kMap: {
      const std::uint64_t count = cursor_.Varint();
      if (count == 0) return;
      if (count > cursor_.rest().size()) cursor_.Fail("a map is longer than what is left");
      const std::uint8_t types = cursor_.Byte();
      const ThriftType key = TypeOf(types >> 4);
      const ThriftType value = TypeOf(types & 15);
      for (std::uint64_t i = 0; i < count; ++i) {
        SkipElement(key, depth + 1);
        SkipElement(value, depth + 1);
      }
      return;
    }
    case ThriftType::kStruct: {
      Index id = 0;
      for (ThriftType field = FieldHead(&id); field != ThriftType::kStop; field = FieldHead(&id)) {
        Skip(field, depth + 1);
      }
      return;
    }
    case ThriftType::kStop:
      break;
  }
  cursor_.Fail("a value without a type");
}

void ThriftReader::SkipElement(ThriftType type, int depth) {
  // Elsewhere than in a field a boolean has a byte of its own.
  const bool boolean = type == ThriftType::kTrue || type == ThriftType::kFalse;
  Skip(boolean ? ThriftType::kByte : type, depth);
}

}  // namespace cliplens
