#include "cliplens/io/tar.h"

#include <algorithm>
#include <limits>
#include <string_view>
#include <utility>

#include "cliplens/base/error.h"
#include "cliplens/io/byte_cursor.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

constexpr Index kBlock = 512;
// A long name or a pax header of more than this is no name any more.
constexpr Index kMaxExtensionBytes = Index{1} << 20;

struct Field {
  std::size_t offset;
  std::size_t size;
};
constexpr Field kName{0, 100};
constexpr Field kSize{124, 12};
constexpr Field kChecksum{148, 8};
constexpr std::size_t kType = 156;
constexpr Field kMagicField{257, 6};
constexpr Field kPrefix{345, 155};

using Header = std::span<const std::uint8_t>;

// A text field up to its first zero byte.
std::string_view Text(Header header, Field field) {
  const std::string_view text = AsText(header.subspan(field.offset, field.size));
  return text.substr(0, text.find('\0'));
}

// A number: octal digits between blanks, or GNU's base 256 when the first bit is set. Nothing when
// it is neither, negative, or 2^63 or more.
std::optional<Index> Number(Header header, Field field) {
  const std::span<const std::uint8_t> bytes = header.subspan(field.offset, field.size);
  Index value = 0;
  if ((bytes[0] & 0x80) != 0) {
    if (bytes[0] != 0x80) return std::nullopt;
    for (const std::uint8_t byte : bytes.subspan(1)) {
      if (value > (std::numeric_limits<Index>::max() >> 8)) return std::nullopt;
      value = value << 8 | byte;
    }
    return value;
  }
  std::string_view text = AsText(bytes);
  text = text.substr(0, text.find('\0'));
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  for (const char digit : text) {  // at most 12 digits of 3 bits
    if (digit < '0' || digit > '7') return std::nullopt;
    value = value << 3 | (digit - '0');
  }
  return value;
}

// The name as the header has it.
std::string NameField(Header header) {
  const std::string_view name = Text(header, kName);
  // Only in ustar does the prefix field hold a prefix; GNU keeps times there.
  const std::string_view prefix = Text(header, kPrefix);
  const std::string_view magic = AsText(header.subspan(kMagicField.offset, kMagicField.size));
  if (magic != std::string_view("ustar\0", 6) || prefix.empty()) return std::string(name);
  return std::string(prefix) + "/" + std::string(name);
}

bool ChecksumIsRight(Header header) {
  const std::optional<Index> wanted = Number(header, kChecksum);
  // Old programs added signed bytes.
  Index as_unsigned = 0;
  Index as_signed = 0;
  for (std::size_t i = 0; i < header.size(); ++i) {
    const bool in_field = i >= kChecksum.offset && i < kChecksum.offset + kChecksum.size;
    const std::uint8_t byte = in_field ? std::uint8_t{' '} : header[i];
    as_unsigned += byte;
    as_signed += static_cast<std::int8_t>(byte);
  }
  return wanted && (*wanted == as_unsigned || *wanted == as_signed);
}

const char* CompressionOf(std::string_view text) {
  if (text.starts_with("\x1f\x8b")) return "gzip";
  if (text.starts_with("BZh")) return "bzip2";
  if (text.starts_with("\xfd"
                       "7zXZ"))
    return "xz";
  if (text.starts_with("\x28\xb5\x2f\xfd")) return "zstd";
  return nullptr;
}

bool HasParentComponent(std::string_view name) {
  while (true) {
    const std::size_t slash = name.find('/');
    if (name.substr(0, slash) == "..") return true;
    if (slash == std::string_view::npos) return false;
    name.remove_prefix(slash + 1);
  }
}

std::string_view WithoutRoot(std::string_view name) {
  while (true) {
    if (name.starts_with('/')) {
      name.remove_prefix(1);
    } else if (name.starts_with("./")) {
      name.remove_prefix(2);
    } else {
      return name;
    }
  }
}

}  // namespace

TarReader::TarReader(std::span<const std::uint8_t> bytes, std::string name)
    : bytes_(bytes), size_(static_cast<Index>(bytes.size())), name_(std::move(name)) {
  CheckCompression();
}

TarReader::TarReader(const RandomAccessFile& file, std::string name)
    : file_(&file), size_(file.size()), name_(std::move(name)) {
  CheckCompression();
}

std::span<const std::uint8_t> TarReader::Get(Index at, Index count) {
  if (file_ == nullptr) return bytes_.subspan(ToSize(at), ToSize(count));
  buffer_.resize(ToSize(count));
  file_->Read(at, buffer_);
  return buffer_;
}

void TarReader::CheckCompression() {
  constexpr Index kSignatureBytes = 8;
  if (const char* compression = CompressionOf(AsText(Get(0, std::min(size_, kSignatureBytes))))) {
    throw Error(ErrorCode::kUnsupported, "{}: is compressed with {}; decompress it first", name_,
                compression);
  }
}

void TarReader::CheckContent(Index header, Index size) const {
  const Index left = size_ - (header + kBlock);
  if (size > left) {
    throw Error(ErrorCode::kCorruptData,
                "{}: the member at byte {} claims {} bytes, {} are left; the archive is cut off, "
                "fetch it again",
                name_, header, size, left);
  }
}

void TarReader::ReadPax(std::span<const std::uint8_t> content, Index header, bool global,
                        Override* override) const {
  const auto fail = [&](const char* what) {
    throw Error(ErrorCode::kCorruptData, "{}: the pax header at byte {} {}; pack the archive again",
                name_, header, what);
  };
  // Records "LENGTH KEY=VALUE\n", LENGTH counting the whole record.
  std::string_view rest = AsText(content);
  while (!rest.empty()) {
    std::size_t length = 0;
    std::size_t digits = 0;
    while (digits < rest.size() && digits < 10 && rest[digits] >= '0' && rest[digits] <= '9') {
      length = length * 10 + ToSize(rest[digits] - '0');
      ++digits;
    }
    if (digits == 0 || digits == rest.size() || rest[digits] != ' ') fail("has a bad length");
    if (length > rest.size() || length < digits + 2) fail("has a record that does not fit in it");
    if (rest[length - 1] != '\n') fail("has a record without a line end");
    const std::string_view record = rest.substr(digits + 1, length - digits - 2);
    rest.remove_prefix(length);
    const std::size_t equals = record.find('=');
    if (equals == std::string_view::npos) fail("has a record without \"=\"");
    const std::string_view key = record.substr(0, equals);
    const std::string_view value = record.substr(equals + 1);
    if (key.starts_with("GNU.sparse.")) {
      throw Error(
          ErrorCode::kUnsupported,
          "{}: the member at byte {} is stored with holes; pack the archive without --sparse",
          name_, header);
    }
    if (global && (key == "path" || key == "size")) fail("gives all members one name or size");
    if (key == "path") override->name = std::string(value);
    if (key == "size") {
      Index size = 0;
      for (const char digit : value) {
        if (digit < '0' || digit > '9' || __builtin_mul_overflow(size, Index{10}, &size) ||
            __builtin_add_overflow(size, Index{digit - '0'}, &size)) {
          fail("has a size that is no number below 2^63");
        }
      }
      if (value.empty()) fail("has an empty size");
      override->size = size;
    }
  }
}

// Behind the end marker an archive is filled up with zeros to a whole record, of 10 KiB as a rule.
// A file with a large hole is not read through.
void TarReader::CheckEnd() {
  constexpr Index kMaxFill = Index{8} << 20;
  const Index rest = size_ - at_;
  const std::span<const std::uint8_t> fill = Get(at_, std::min(rest, kMaxFill));
  if (rest > kMaxFill || std::ranges::any_of(fill, [](std::uint8_t byte) { return byte != 0; })) {
    throw Error(ErrorCode::kCorruptData,
                "{}: there is more after the end marker at byte {}, the archive has {} bytes; were "
                "archives joined? Pack them again",
                name_, at_, size_);
  }
}

// The block at at_, its checksum verified, or nothing at the end marker.
std::optional<std::span<const std::uint8_t>> TarReader::NextHeader() {
  if (size_ - at_ < kBlock) {
    throw Error(ErrorCode::kCorruptData,
                "{}: a header or the end marker is wanted at byte {}, the file has {}; the archive "
                "is cut off, fetch it again",
                name_, at_, size_);
  }
  const Header header = Get(at_, kBlock);
  if (std::ranges::all_of(header, [](std::uint8_t byte) { return byte == 0; })) return std::nullopt;
  if (!ChecksumIsRight(header)) {
    throw Error(ErrorCode::kCorruptData,
                "{}: the header at byte {} has a wrong checksum; the file is no tar archive or is "
                "damaged, fetch it again",
                name_, at_);
  }
  return header;
}

void TarReader::ReadExtension(std::span<const std::uint8_t> content, char type, Index header,
                              Override* override) const {
  if (type == 'L') {
    const std::string_view name = AsText(content);
    override->name = std::string(name.substr(0, name.find('\0')));
  } else if (type != 'K') {
    ReadPax(content, header, type == 'g', override);
  }
}

// The name as the archive's user knows it. Throws for one that leads out of the archive.
std::string TarReader::RelativeName(const std::string& name, Index header) const {
  const std::string_view relative = WithoutRoot(name);
  if (relative.empty() || relative.find('\0') != std::string_view::npos ||
      HasParentComponent(relative)) {
    throw Error(ErrorCode::kCorruptData,
                "{}: the member at byte {} is named \"{}\", which is empty or points outside the "
                "archive; pack the archive again",
                name_, header, Printable(name));
  }
  return std::string(relative);
}

std::optional<TarMember> TarReader::Next() {
  Override override;
  while (true) {
    const Index header_at = at_;
    const std::optional<Header> header = NextHeader();
    if (!header) {
      if (override.name || override.size) {
        throw Error(ErrorCode::kCorruptData,
                    "{}: the end marker at byte {} follows the long name of a member; pack the "
                    "archive again",
                    name_, header_at);
      }
      CheckEnd();
      return std::nullopt;
    }
    const char type = static_cast<char>((*header)[kType]);
    const std::optional<Index> field = Number(*header, kSize);
    if (!field) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: the header at byte {} has the size \"{}\", octal digits are wanted; pack "
                  "the archive again",
                  name_, header_at, Printable(Text(*header, kSize)));
    }
    Index size = *field;
    const bool extension = type == 'x' || type == 'X' || type == 'g' || type == 'L' || type == 'K';
    // Folders, links and devices have no content, whatever their size field says.
    const bool bare = type >= '1' && type <= '6';
    if (!extension && override.size) size = *override.size;
    if (bare) size = 0;

    CheckContent(header_at, size);
    // The size is bounded by the file's, so the sum does not overflow. The last block may be cut
    // off; the missing end marker then tells.
    at_ = std::min(header_at + kBlock + (size + kBlock - 1) / kBlock * kBlock, size_);
    if (extension) {
      if (size > kMaxExtensionBytes) {
        throw Error(ErrorCode::kExhausted,
                    "{}: the long name at byte {} has {} bytes, at most {} are read; pack the "
                    "archive again",
                    name_, header_at, size, kMaxExtensionBytes);
      }
      ReadExtension(Get(header_at + kBlock, size), type, header_at, &override);
      continue;
    }
    if (type == 'S' || type == 'M') {
      throw Error(ErrorCode::kUnsupported,
                  "{}: the member at byte {} is stored {}; pack the archive again", name_,
                  header_at, type == 'S' ? "with holes" : "over several archives");
    }
    const std::string name = override.name ? std::move(*override.name) : NameField(*header);
    override = {};
    const bool regular = type == '0' || type == '\0' || type == '7';
    // Archives older than ustar mark folders by a slash alone.
    if (!regular || (type == '\0' && name.ends_with('/'))) continue;
    return TarMember{
        .name = RelativeName(name, header_at), .offset = header_at + kBlock, .size = size};
  }
}

}  // namespace cliplens
