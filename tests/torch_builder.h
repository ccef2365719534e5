// Small PyTorch files made by hand: pickles, zip archives, state dictionaries.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cliplens {

// Bytes of a number, little-endian.
template <typename T>
std::string Bytes(T value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

// Instructions of a pickle.
namespace pickle {
inline const std::string kHead = "\x80\x02";
inline std::string Text(std::string_view text) {
  return "X" + Bytes(static_cast<std::uint32_t>(text.size())) + std::string(text);
}
inline std::string Int(std::int32_t value) { return "J" + Bytes(value); }
inline std::string Name(std::string_view module, std::string_view attribute) {
  return "c" + std::string(module) + "\n" + std::string(attribute) + "\n";
}
inline std::string Tuple(const std::vector<std::string>& items) {
  std::string all = "(";
  for (const std::string& item : items) all += item;
  return all + "t";
}
inline std::string Ints(const std::vector<std::int64_t>& values) {
  std::vector<std::string> items;
  for (std::int64_t v : values) items.push_back(std::string("\x8a\x08", 2) + Bytes(v));
  return Tuple(items);
}
inline std::string Dict(const std::vector<std::pair<std::string, std::string>>& members) {
  std::string all = "}(";
  for (const auto& [key, value] : members) all += Text(key) + value;
  return all + "u";
}
inline std::string Storage(const std::string& type, const std::string& key, std::int32_t count) {
  return Tuple({Text("storage"), Name("torch", type), Text(key), Text("cpu"), Int(count)}) + "Q";
}
// A tensor as torch.save describes it.
inline std::string Tensor(const std::string& storage, std::int64_t offset,
                          const std::vector<std::int64_t>& shape,
                          const std::vector<std::int64_t>& strides) {
  return Name("torch._utils", "_rebuild_tensor_v2") +
         Tuple({storage, std::string("\x8a\x08", 2) + Bytes(offset), Ints(shape), Ints(strides),
                "\x89", Name("collections", "OrderedDict") + ")R"}) +
         "R";
}
// A module of a TorchScript archive.
inline std::string Module(const std::string& name,
                          const std::vector<std::pair<std::string, std::string>>& members) {
  return Name("__torch__." + name, "Module") + ")\x81" + Dict(members) + "b";
}
}  // namespace pickle

inline std::uint32_t Crc32(std::string_view bytes) {
  std::uint32_t crc = 0xFFFFFFFFU;
  for (const char c : bytes) {
    crc ^= static_cast<std::uint8_t>(c);
    for (int i = 0; i < 8; ++i) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0xEDB88320U : 0U);
  }
  return ~crc;
}

// A zip archive; entries are stored, or deflated in blocks that are not compressed.
class ZipBuilder {
 public:
  struct Changes {
    bool deflate = false;
    std::uint32_t method = 0xFFFF;   // another compression in the headers
    std::int64_t claimed_size = -1;  // another uncompressed size in the headers
    bool checksum = true;
    std::uint32_t flip_checksum = 0;
  };
  void Add(const std::string& name, const std::string& bytes) { Add(name, bytes, {}); }
  void Add(const std::string& name, const std::string& bytes, const Changes& changes) {
    std::string data = bytes;
    if (changes.deflate) {
      data.clear();
      for (std::size_t at = 0; at == 0 || at < bytes.size(); at += 0xFFFF) {
        const std::string block = bytes.substr(at, 0xFFFF);
        const auto size = static_cast<std::uint16_t>(block.size());
        data += at + block.size() >= bytes.size() ? '\1' : '\0';
        data += Bytes(size) + Bytes(static_cast<std::uint16_t>(~size)) + block;
      }
    }
    const auto size = static_cast<std::uint32_t>(
        changes.claimed_size < 0 ? static_cast<std::int64_t>(bytes.size()) : changes.claimed_size);
    std::uint16_t method = changes.deflate ? 8 : 0;
    if (changes.method != 0xFFFF) method = static_cast<std::uint16_t>(changes.method);
    const std::uint32_t crc = changes.checksum ? Crc32(bytes) ^ changes.flip_checksum : 0;
    const std::string common = Bytes(std::uint16_t{20}) + Bytes(std::uint16_t{0}) + Bytes(method) +
                               Bytes(std::uint32_t{0x00210000}) + Bytes(crc) +
                               Bytes(static_cast<std::uint32_t>(data.size())) + Bytes(size) +
                               Bytes(static_cast<std::uint16_t>(name.size())) +
                               Bytes(std::uint16_t{0});
    directory_ += "PK\1\2" + Bytes(std::uint16_t{20}) + common + std::string(6, '\0') +
                  std::string(4, '\0') + Bytes(static_cast<std::uint32_t>(body_.size())) + name;
    body_ += "PK\3\4" + common + name + data;
    ++count_;
  }
  std::string Finish() const {
    return body_ + directory_ + "PK\5\6" + std::string(4, '\0') + Bytes(count_) + Bytes(count_) +
           Bytes(static_cast<std::uint32_t>(directory_.size())) +
           Bytes(static_cast<std::uint32_t>(body_.size())) + Bytes(std::uint16_t{0});
  }

 private:
  std::string body_;
  std::string directory_;
  std::uint16_t count_ = 0;
};

// An archive as torch.save writes it: a pickle and its storages.
inline std::string TorchArchive(const std::string& program,
                                const std::vector<std::pair<std::string, std::string>>& storages,
                                const std::vector<std::string>& more = {}) {
  ZipBuilder zip;
  zip.Add("archive/data.pkl", pickle::kHead + program + ".");
  for (const std::string& name : more) zip.Add("archive/" + name, "x");
  zip.Add("archive/byteorder", "little");
  for (const auto& [key, bytes] : storages) zip.Add("archive/data/" + key, bytes);
  return zip.Finish();
}

template <typename T>
std::string Values(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

}  // namespace cliplens
