#include "cliplens/dataset/text_pool.h"

#include <cstddef>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "cliplens/base/error.h"
#include "cliplens/dataset/imagenet_templates.h"
#include "cliplens/dataset/lines.h"
#include "cliplens/dataset/picture_files.h"
#include "cliplens/io/file.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

constexpr Index kMaxPoolBytes = Index{256} << 20;

// Takes the lines of a file of texts that are not blank; returns how many are.
template <typename Take>
Index ReadLines(const std::string& content, const std::string& name, const OnBlankLines& on_blank,
                Take take) {
  const Index blank = ForEachLine(content, name, take);
  if (blank > 0 && on_blank) on_blank(name, blank);
  return blank;
}

// "text" or "text, tab, more", blanks around both removed. A part that is blank is left out.
std::pair<std::string_view, std::optional<std::string_view>> Split(const Line& line,
                                                                   const std::string& name) {
  const std::size_t tab = line.text.find('\t');
  const std::string_view first = Trim(line.text.substr(0, tab));
  std::string_view second;
  if (tab != std::string_view::npos) second = Trim(line.text.substr(tab + 1));
  if (first.empty()) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: line {}: nothing stands before the tab; write the text first", name,
                line.number);
  }
  if (second.find('\t') != std::string_view::npos) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: line {}: has more than one tab, one at most is allowed; remove the others",
                name, line.number);
  }
  if (second.empty()) return {first, std::nullopt};
  return {first, second};
}

}  // namespace

TextLines ReadTextLines(const std::filesystem::path& path, const OnBlankLines& on_blank) {
  const std::string name = PathText(path);
  const std::string content = ReadTextFile(path, kMaxPoolBytes, FileKind::kRegularOrPipe);
  TextLines texts;
  texts.blank = ReadLines(content, name, on_blank, [&](const Line& line) {
    texts.texts.emplace_back(line.text);
    texts.lines.push_back(line.number);
  });
  if (texts.texts.empty()) {
    throw Error(ErrorCode::kInvalidArgument, "{}: no texts in it; put one text on each line", name);
  }
  return texts;
}

TextPool ReadTextPool(const std::filesystem::path& path, const OnBlankLines& on_blank) {
  const std::string name = PathText(path);
  TextLines texts = ReadTextLines(path, on_blank);
  TextPool pool;
  pool.name = path.filename().string();
  for (std::size_t i = 0; i < texts.texts.size(); ++i) {
    const auto [text, property] = Split({texts.lines[i], texts.texts[i]}, name);
    pool.texts.emplace_back(text);
    pool.properties.emplace_back(property);
  }
  pool.lines = std::move(texts.lines);
  pool.blank = texts.blank;
  return pool;
}

ClassFile ReadClassFile(const std::filesystem::path& path, const OnBlankLines& on_blank) {
  const std::string name = PathText(path);
  const std::string content = ReadTextFile(path, kMaxPoolBytes, FileKind::kRegularOrPipe);
  ClassFile classes;
  classes.name = path.filename().string();
  std::map<std::string_view, Index> line_of;  // by label
  ReadLines(content, name, on_blank, [&](const Line& line) {
    const auto [class_name, given] = Split(line, name);
    const std::string_view label = given.value_or(class_name);
    const auto [found, added] = line_of.emplace(label, line.number);
    if (!added) {
      throw Error(ErrorCode::kInvalidArgument,
                  "{}: lines {} and {} both stand for the label \"{}\"; remove one", name,
                  found->second, line.number, Printable(label));
    }
    classes.names.emplace_back(class_name);
    classes.labels.emplace_back(label);
  });
  if (classes.names.empty()) {
    throw Error(ErrorCode::kInvalidArgument, "{}: no classes in it; put one name on each line",
                name);
  }
  return classes;
}

std::vector<std::string> ReadTemplates(const std::string& spec, const OnBlankLines& on_blank) {
  if (spec == "simple") return {"a photo of a {}."};
  if (spec == "imagenet") {
    const std::span<const std::string_view> templates = ImagenetTemplates();
    return {templates.begin(), templates.end()};
  }
  const std::filesystem::path path = spec;
  const std::string name = PathText(path);
  std::error_code ignored;
  if (spec != "-" && !std::filesystem::exists(path, ignored)) {
    throw Error(ErrorCode::kNotFound,
                "{}: no such file of templates; name a file, \"imagenet\" or \"simple\"", name);
  }
  const std::string content = ReadTextFile(path, kMaxPoolBytes, FileKind::kRegularOrPipe);
  std::vector<std::string> templates;
  ReadLines(content, name, on_blank, [&](const Line& line) {
    const std::string_view text = Trim(line.text);
    if (text.find("{}") == std::string_view::npos) {
      throw Error(ErrorCode::kInvalidArgument,
                  "{}: line {}: \"{}\" has no {{}}; put it where the class name goes", name,
                  line.number, Printable(text));
    }
    templates.emplace_back(text);
  });
  if (templates.empty()) {
    throw Error(ErrorCode::kInvalidArgument, "{}: no templates in it; put one on each line", name);
  }
  return templates;
}

std::string FillTemplate(std::string_view pattern, std::string_view name) {
  std::string filled;
  while (true) {
    const std::size_t gap = pattern.find("{}");
    filled += pattern.substr(0, gap);
    if (gap == std::string_view::npos) return filled;
    filled += name;
    pattern.remove_prefix(gap + 2);
  }
}

}  // namespace cliplens
