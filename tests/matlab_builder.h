// Builds MATLAB 5 files by hand, right or wrong, for tests.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include <zlib.h>

namespace cliplens {

inline std::string MatlabWord(std::uint32_t word) {
  std::string bytes(4, '\0');
  std::memcpy(bytes.data(), &word, 4);
  return bytes;
}

// An element of a type, padded to eight bytes.
inline std::string MatlabElement(std::uint32_t type, const std::string& content) {
  std::string element =
      MatlabWord(type) + MatlabWord(static_cast<std::uint32_t>(content.size())) + content;
  element.resize((element.size() + 7) / 8 * 8, '\0');
  return element;
}

// Flags, shape and name of an array of a class.
inline std::string MatlabArray(std::uint8_t array_class, const std::vector<std::uint32_t>& shape,
                               const std::string& name, const std::string& content) {
  std::string axes;
  for (const std::uint32_t size : shape) axes += MatlabWord(size);
  return MatlabElement(14, MatlabElement(6, MatlabWord(array_class) + MatlabWord(0)) +
                               MatlabElement(5, axes) + MatlabElement(1, name) + content);
}

inline std::string MatlabText(const std::string& text) {
  std::string units;
  for (const char c : text) units += {c, '\0'};
  return MatlabArray(4, {1, static_cast<std::uint32_t>(text.size())}, "", MatlabElement(4, units));
}

inline std::string MatlabNumber(double value) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &value, 8);
  return MatlabArray(6, {1, 1}, "", MatlabElement(9, bytes));
}

// A small number as MATLAB writes it: a byte in the short form.
inline std::string MatlabByte(std::uint8_t value) {
  std::string packed = MatlabWord((1U << 16) | 2U);
  packed += {static_cast<char>(value), '\0', '\0', '\0'};
  return MatlabArray(6, {1, 1}, "", packed);
}

inline std::string MatlabStructures(const std::string& name, const std::vector<std::string>& fields,
                                    std::uint32_t count, const std::string& values) {
  std::string names;
  for (std::string field : fields) {
    field.resize(32, '\0');
    names += field;
  }
  // The fields' width is of the short form.
  return MatlabArray(
      2, {count, 1}, name,
      MatlabWord((4U << 16) | 5U) + MatlabWord(32) + MatlabElement(1, names) + values);
}

inline std::string MatlabPacked(const std::string& element) {
  std::string packed(compressBound(element.size()), '\0');
  uLongf size = packed.size();
  compress(reinterpret_cast<Bytef*>(packed.data()), &size,
           reinterpret_cast<const Bytef*>(element.data()), element.size());
  packed.resize(size);
  return MatlabWord(15) + MatlabWord(static_cast<std::uint32_t>(size)) + packed;
}

inline std::string MatlabFile(const std::string& elements) {
  std::string header = "MATLAB 5.0 MAT-file, a test";
  header.resize(124, ' ');
  return header + std::string("\x00\x01IM", 4) + elements;
}

// ILSVRC2012's meta.mat: number, WordNet id and words of each class, fields as the devkit has them.
struct MatlabSynset {
  int number;
  std::string id;
  std::string words;
};
inline std::string MatlabMeta(const std::vector<MatlabSynset>& synsets) {
  std::string values;
  for (const MatlabSynset& s : synsets) {
    values += (s.number < 256 ? MatlabByte(static_cast<std::uint8_t>(s.number))
                              : MatlabNumber(s.number)) +
              MatlabText(s.id) + MatlabText(s.words) + MatlabElement(14, "");
  }
  return MatlabFile(
      MatlabPacked(MatlabStructures("synsets", {"ILSVRC2012_ID", "WNID", "words", "children"},
                                    static_cast<std::uint32_t>(synsets.size()), values)));
}

}  // namespace cliplens
