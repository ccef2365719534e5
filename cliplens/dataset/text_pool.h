// Texts, text pools, class files and prompt templates: plain UTF-8 files, one entry a line. Lines
// end in LF, CRLF or CR alone; blank lines are left out, and entries keep the numbers of their
// lines.
//
//   const TextPool phrases = ReadTextPool("phrases.txt");
//   const ClassFile classes = ReadClassFile("objects.txt");
//   Print(FillTemplate(ReadTemplates("simple")[0], classes.names[0]));   // "a photo of a duck."
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cliplens/base/array.h"

namespace cliplens {

// Is told of each file of which blank lines were left out, and how many.
using OnBlankLines = std::function<void(const std::string& file, Index count)>;

// Texts of a file, whole lines as they are.
struct TextLines {
  std::vector<std::string> texts;
  std::vector<Index> lines;  // of the texts, from 1
  Index blank = 0;           // blank lines
};
// Throws as ReadTextPool.
TextLines ReadTextLines(const std::filesystem::path& path, const OnBlankLines& on_blank = {});

// One text a line, optionally followed by a tab and its property. Blanks around a text are removed.
struct TextPool {
  std::string name;  // the file's name without directory
  std::vector<std::string> texts;
  std::vector<std::optional<std::string>> properties;  // one for each text
  std::vector<Index> lines = {};                       // of the texts, from 1
  Index blank = 0;                                     // blank lines
};
// Throws Error(kInvalidArgument) for a file without texts, Error(kCorruptData) for one that is not
// UTF-8 (with the line's number), Error(kExhausted) above 256 MB.
TextPool ReadTextPool(const std::filesystem::path& path, const OnBlankLines& on_blank = {});

// One class a line, optionally followed by a tab and the folder or label that it stands for
// (default: its name).
struct ClassFile {
  std::string name;
  std::vector<std::string> names;
  std::vector<std::string> labels;
};
// A label given twice is an Error(kInvalidArgument) that names both lines.
ClassFile ReadClassFile(const std::filesystem::path& path, const OnBlankLines& on_blank = {});

// One template a line, with `{}` in place of the class name. `spec` is a file's path, `simple` ("a
// photo of a {}.") or `imagenet` (the 80 of the zero-shot protocol of OpenAI's CLIP). A line
// without `{}` is an Error(kInvalidArgument).
std::vector<std::string> ReadTemplates(const std::string& spec, const OnBlankLines& on_blank = {});

// `pattern` with every `{}` replaced by `name`.
std::string FillTemplate(std::string_view pattern, std::string_view name);

}  // namespace cliplens
