#include <array>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cliplens/base/error.h"
#include "cliplens/dataset/image_set_kinds.h"
#include "cliplens/dataset/lines.h"
#include "cliplens/dataset/listed_set.h"
#include "cliplens/dataset/picture_files.h"
#include "cliplens/io/file.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace fs = std::filesystem;
namespace {

constexpr const char* kAttributes = "list_attr_celeba";
constexpr const char* kPartition = "list_eval_partition";

// The first of the places where the published archives and their copies have a file; empty if none
// has it.
fs::path FindList(const fs::path& root, const char* folder, const std::string& name) {
  for (const fs::path& place : {root, root / folder}) {
    for (const char* ending : {".txt", ".csv"}) {
      if (Exists(place / (name + ending))) return place / (name + ending);
    }
  }
  return {};
}

std::string PicturesOf(const fs::path& root) {
  std::error_code ignored;
  for (const char* folder : {"img_align_celeba/img_align_celeba", "img_align_celeba",
                             "Img/img_align_celeba", "img_celeba", "Img/img_celeba"}) {
    if (fs::is_directory(root / folder, ignored)) return folder;
  }
  return "";
}

// Parts of a line between blanks.
std::vector<std::string_view> Words(std::string_view line) {
  std::vector<std::string_view> words;
  while (!(line = Trim(line)).empty()) {
    const std::size_t end = std::min(line.find(' '), line.size());
    words.push_back(line.substr(0, end));
    line.remove_prefix(end);
  }
  return words;
}

// "FILE VALUE ..." on each line: a table whose first column is the picture's name. The file of
// attributes opens with their number and their names.
TextTable ReadList(const fs::path& path, std::vector<std::string> columns) {
  if (LastEnding(path.native()) == "csv") return ReadTextTable(path);
  const std::string name = PathText(path);
  const std::string content = ReadTextFile(path, kMaxTableBytes);
  const bool has_header = columns.empty();
  std::optional<TextTable> table;
  if (!has_header) table.emplace(std::move(columns));
  ForEachLine(content, name, [&](const Line& line) {
    const std::vector<std::string_view> words = Words(line.text);
    if (!table) {
      if (line.number == 1 && words.size() == 1) return;
      std::vector<std::string> names = {"image_id"};
      names.insert(names.end(), words.begin(), words.end());
      table.emplace(std::move(names));
      return;
    }
    if (words.size() != table->columns().size()) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: line {}: has {} values, {} were expected; unpack the archive again", name,
                  line.number, words.size(), table->columns().size());
    }
    table->AddRow(words);
  });
  if (!table) {
    throw Error(ErrorCode::kCorruptData, "{}: has no lines; unpack the archive again", name);
  }
  return std::move(*table);
}

const char* SplitName(std::string_view partition, const std::string& name, Index row) {
  constexpr std::array<const char*, 3> kSplits = {"train", "val", "test"};
  if (partition.size() == 1 && partition[0] >= '0' && partition[0] <= '2') {
    return At(kSplits, partition[0] - '0');
  }
  throw Error(ErrorCode::kCorruptData, "{}: row {}: the partition is '{}', 0 to 2 was expected",
              name, row + 1, Printable(partition, 40));
}

}  // namespace

bool IsCeleba(const fs::path& root) {
  return !FindList(root, "Anno", kAttributes).empty() ||
         (!FindList(root, "Eval", kPartition).empty() && !PicturesOf(root).empty());
}

std::unique_ptr<ImageSet> OpenCeleba(const fs::path& root, const std::string& split) {
  const fs::path attribute_file = FindList(root, "Anno", kAttributes);
  const fs::path partition_file = FindList(root, "Eval", kPartition);
  const std::string folder = PicturesOf(root);
  if (attribute_file.empty() || partition_file.empty() || folder.empty()) {
    throw Error(
        ErrorCode::kNotFound,
        "{}: looks like CelebA, but {} is missing; {}.txt (or .csv, in Anno too), {}.txt (in "
        "Eval too) and the folder img_align_celeba (in Img too) are needed",
        PathText(root),
        attribute_file.empty()   ? kAttributes
        : partition_file.empty() ? kPartition
                                 : "the folder of pictures",
        kAttributes, kPartition);
  }
  const std::string name = PathText(partition_file);
  const TextTable attributes = ReadList(attribute_file, {});
  const TextTable partition = ReadList(partition_file, {"image_id", "partition"});
  if (partition.columns().size() != 2) {
    throw Error(ErrorCode::kCorruptData,
                "{}: has {} columns, a picture and its partition were "
                "expected",
                name, partition.columns().size());
  }
  std::map<std::string_view, const char*> split_of;
  for (Index r = 0; r < partition.rows(); ++r) {
    split_of[partition.cell(r, 0)] = SplitName(partition.cell(r, 1), name, r);
  }
  std::vector<std::string> columns = attributes.columns();
  columns.front() = "path";
  columns.emplace_back("split");
  TextTable table(std::move(columns));
  std::vector<std::string_view> row(table.columns().size());
  for (Index r = 0; r < attributes.rows(); ++r) {
    const std::string_view picture = attributes.cell(r, 0);
    const auto found = split_of.find(picture);
    if (found == split_of.end()) {
      throw Error(ErrorCode::kCorruptData, "{}: has no line for {}, which {} has", name,
                  Printable(picture, 80), PathText(attribute_file));
    }
    const std::string path = folder + "/" + std::string(picture);
    row.front() = path;
    for (Index c = 1; c < std::ssize(attributes.columns()); ++c) At(row, c) = attributes.cell(r, c);
    row.back() = found->second;
    table.AddRow(row);
  }
  const auto split_column = std::ssize(table.columns()) - 1;
  return OpenPictureTable(
      {.kind = "celeba",
       .root = root,
       .folder = root,
       .split = split,
       .table = RowsOfSplit(std::move(table), split_column, split, PathText(root)),
       .path = 0,
       .mask_ignore = std::nullopt});
}

}  // namespace cliplens
