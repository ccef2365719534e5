// Builds tar archives by hand, right or wrong, for tests.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

namespace cliplens {

// A header with a right checksum. `magic` is "ustar\0" + "00" for ustar, "ustar  \0" for GNU.
inline std::string TarHeader(const std::string& name, std::uint64_t size, char type = '0',
                             const std::string& magic = std::string("ustar\00000", 8)) {
  std::string header(512, '\0');
  header.replace(0, name.size(), name);
  char field[24];
  std::snprintf(field, sizeof(field), "%07o", 0644U);
  header.replace(100, 8, field, 8);
  std::snprintf(field, sizeof(field), "%011llo", static_cast<unsigned long long>(size));
  header.replace(124, 12, field, 12);
  header[156] = type;
  header.replace(257, 8, magic);
  return header;
}

inline std::string WithChecksum(std::string header) {
  header.replace(148, 8, 8, ' ');
  unsigned sum = 0;
  for (const char c : header) sum += static_cast<std::uint8_t>(c);
  char field[24];
  std::snprintf(field, sizeof(field), "%06o", sum);
  header.replace(148, 7, field, 7);
  return header;
}

inline std::string Padded(std::string content) {
  content.resize((content.size() + 511) / 512 * 512, '\0');
  return content;
}

inline std::string TarMemberBytes(const std::string& name, const std::string& content,
                                  char type = '0') {
  return WithChecksum(TarHeader(name, content.size(), type)) + Padded(content);
}

inline std::string TarEnd() { return std::string(1024, '\0'); }

// One record of a pax header: its length counts itself.
inline std::string PaxRecord(const std::string& key, const std::string& value) {
  const std::size_t rest = key.size() + value.size() + 3;
  std::size_t length = rest + 1;
  while (std::to_string(length).size() + rest != length) ++length;
  return std::to_string(length) + " " + key + "=" + value + "\n";
}

// All members are regular files.
inline std::string TarArchive(const std::vector<std::pair<std::string, std::string>>& members) {
  std::string archive;
  for (const auto& [name, content] : members) archive += TarMemberBytes(name, content);
  return archive + TarEnd();
}

}  // namespace cliplens
