#include "cliplens/io/byte_cursor.h"

#include "cliplens/base/error.h"

namespace cliplens {

std::span<const std::uint8_t> ByteCursor::Take(std::uint64_t count) {
  if (count > rest_.size()) {
    Fail(fmt::format("{} more bytes are wanted, it has {}", count, rest_.size()));
  }
  const auto taken = rest_.first(count);
  rest_ = rest_.subspan(count);
  return taken;
}

std::uint64_t ByteCursor::Varint() {
  std::uint64_t number = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    const std::uint8_t byte = Byte();
    number |= std::uint64_t{byte & 0x7FU} << shift;
    if (byte < 0x80) return number;
  }
  Fail("a number of more than 64 bits");
}

std::int64_t ByteCursor::ZigZag() {
  const std::uint64_t number = Varint();
  return static_cast<std::int64_t>((number >> 1) ^ (0 - (number & 1)));
}

void ByteCursor::Fail(const std::string& what) const {
  throw Error(ErrorCode::kCorruptData, "{}: is damaged ({}); fetch the file again", where_, what);
}

}  // namespace cliplens
