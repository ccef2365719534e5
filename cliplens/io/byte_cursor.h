// Takes bytes from the front of a range, and says where a file is damaged if there are too few.
//
//   ByteCursor cursor(page, "t.parquet: column 'label'");
//   const std::uint32_t size = cursor.Number<std::uint32_t>();
//   Use(cursor.Take(size));
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace cliplens {

// The same bytes, which must outlive it.
inline std::string_view AsText(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// The bytes must outlive the cursor. `where` opens the messages. All members throw
// Error(kCorruptData) where bytes are missing or are no such number.
class ByteCursor {
 public:
  ByteCursor(std::span<const std::uint8_t> bytes, std::string where)
      : rest_(bytes), where_(std::move(where)) {}

  std::span<const std::uint8_t> rest() const { return rest_; }
  const std::string& where() const { return where_; }

  std::uint8_t Byte() { return Take(1)[0]; }
  std::span<const std::uint8_t> Take(std::uint64_t count);
  // Little-endian, of its own width.
  template <typename T>
  T Number() {
    static_assert(std::endian::native == std::endian::little);
    T number;
    std::memcpy(&number, Take(sizeof(T)).data(), sizeof(T));
    return number;
  }
  // Seven bits a byte, the lowest first (LEB128), at most 64 bits.
  std::uint64_t Varint();
  // A varint of which the lowest bit is the sign.
  std::int64_t ZigZag();

  // "t.parquet: column 'label': is damaged (`what`); fetch the file again".
  [[noreturn]] void Fail(const std::string& what) const;

 private:
  std::span<const std::uint8_t> rest_;
  std::string where_;
};

}  // namespace cliplens
