// The validation pictures of ILSVRC2012, as they are unpacked or as they are commonly sorted:
// - ILSVRC2012_val_00000001.JPEG, ... in the folder itself, in val or in ILSVRC2012_img_val, with
//   ILSVRC2012_validation_ground_truth.txt, whose line n is the class of picture n;
// - a folder for each class, named by its WordNet id, in val.
// The devkit's meta.mat says which WordNet id and words a class of the ground truth is.
#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <string_view>
#include <utility>
#include <vector>

#include "cliplens/base/error.h"
#include "cliplens/base/parse_number.h"
#include "cliplens/dataset/image_set_kinds.h"
#include "cliplens/dataset/lines.h"
#include "cliplens/dataset/listed_set.h"
#include "cliplens/dataset/picture_files.h"
#include "cliplens/io/file.h"
#include "cliplens/io/matlab5.h"
#include "cliplens/io/printable.h"

namespace cliplens {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTruthFile = "ILSVRC2012_validation_ground_truth.txt";
constexpr const char* kDevkit = "ILSVRC2012_devkit_t12";
constexpr const char* kMeta = "meta.mat";
constexpr std::string_view kPicturePrefix = "ILSVRC2012_val_";
constexpr Index kMaxTruthBytes = Index{16} << 20;

// n and eight digits.
bool IsWordnetId(std::string_view text) {
  return text.size() == 9 && text[0] == 'n' &&
         std::ranges::all_of(text.substr(1), [](char c) { return c >= '0' && c <= '9'; });
}

bool HasClassFolders(const fs::path& folder) {
  std::error_code ignored;
  for (fs::directory_iterator entry(folder, ignored), end; !ignored && entry != end;
       entry.increment(ignored)) {
    if (IsWordnetId(entry->path().filename().string()) && entry->is_directory(ignored)) return true;
  }
  return false;
}

// The devkit's file, beside the pictures or in the devkit's folder; empty when there is none.
fs::path DevkitFile(const fs::path& root, const char* file) {
  for (const fs::path& folder : {root, root / kDevkit / "data", root / "data", root / kDevkit}) {
    if (Exists(folder / file)) return folder / file;
  }
  return {};
}

struct Synset {
  std::string wordnet_id;
  std::string words;
};

// By the number that the ground truth has for them.
std::map<Index, Synset> ReadSynsets(const fs::path& path) {
  std::map<std::string, MatlabValue> variables = ReadMatlab5(path);
  const auto found = variables.find("synsets");
  if (found == variables.end()) {
    throw Error(ErrorCode::kCorruptData,
                "{}: has no variable 'synsets'; ILSVRC2012's devkit has such a file",
                PathText(path));
  }
  std::map<Index, Synset> synsets;
  try {
    const MatlabValue& list = found->second;
    for (Index i = 0; i < list.size; ++i) {
      const MatlabValue& number = list.Field(i, "ILSVRC2012_ID");
      const std::string& id = list.Field(i, "WNID").text;
      const std::string& words = list.Field(i, "words").text;
      if (number.numbers.size() != 1 || !(number.numbers[0] >= 1 && number.numbers[0] <= 1e6) ||
          !IsWordnetId(id) || FindInvalidUtf8(words) != std::string_view::npos) {
        throw Error(ErrorCode::kCorruptData, "synset {} has no number or no WordNet id", i + 1);
      }
      synsets[static_cast<Index>(number.numbers[0])] = {id, words};
    }
  } catch (const Error& error) {
    throw Error(error.code(), "{}: {}; fetch the devkit again", PathText(path), error.what());
  }
  return synsets;
}

std::vector<Index> ReadTruth(const fs::path& path) {
  std::vector<Index> truth;
  const std::string text = ReadTextFile(path, kMaxTruthBytes);
  ForEachLine(text, PathText(path), [&](const Line& line) {
    const std::string_view digits = Trim(line.text);
    const Index number = ParseNumber<Index>(digits).value_or(0);
    if (number < 1 || line.number != static_cast<Index>(truth.size()) + 1) {
      throw Error(ErrorCode::kCorruptData,
                  "{}: line {}: \"{}\" is no number of a class; one a line from 1 up was expected",
                  PathText(path), line.number, Printable(digits, 40));
    }
    truth.push_back(number);
  });
  return truth;
}

// n of "ILSVRC2012_val_0000000n.JPEG", or 0.
Index PictureNumber(std::string_view path) {
  std::string_view base = BaseName(path);
  if (!base.starts_with(kPicturePrefix)) return 0;
  base.remove_prefix(kPicturePrefix.size());
  Index number = 0;
  const auto [end, error] = std::from_chars(base.data(), base.data() + base.size(), number);
  return error == std::errc() && *end == '.' ? number : 0;
}

// The folder with the pictures, relative to the root.
std::string PictureFolder(const fs::path& root) {
  for (const char* folder : {"val", "ILSVRC2012_img_val"}) {
    if (Exists(root / folder)) return folder;
  }
  return "";
}

}  // namespace

bool IsImagenet(const fs::path& root) {
  return Exists(root / kTruthFile) || Exists(root / kDevkit) || HasClassFolders(root / "val");
}

std::unique_ptr<ImageSet> OpenImagenet(const fs::path& root, const std::string& split) {
  if (!split.empty() && split != "val") {
    throw Error(ErrorCode::kNotFound,
                "{}: of ImageNet the validation pictures are read, split val, not '{}'; name "
                "another folder itself",
                PathText(root), Printable(split, 80));
  }
  std::map<Index, Synset> synsets;
  std::map<std::string, std::string, std::less<>> words_of;  // by WordNet id
  if (const fs::path meta = DevkitFile(root, kMeta); !meta.empty()) {
    synsets = ReadSynsets(meta);
    for (const auto& [number, synset] : synsets) words_of[synset.wordnet_id] = synset.words;
  }
  const std::string folder = PictureFolder(root);
  const Listing listing = ListPictures(root / folder);
  TextTable table({"path", "label", "words", "imagenet_id"});
  const auto add = [&](const std::string& path, std::string_view label, std::string_view words,
                       std::string_view id) {
    const std::string full = folder.empty() ? path : folder + "/" + path;
    const std::array<std::string_view, 4> row = {full, label, words, id};
    table.AddRow(row);
  };
  if (HasClassFolders(root / folder)) {
    for (const std::string& path : listing.pictures) {
      const std::string_view id = std::string_view(path).substr(0, path.find('/'));
      if (!IsWordnetId(id)) continue;
      const auto words = words_of.find(id);
      add(path, id, words == words_of.end() ? "" : words->second, "");
    }
  } else {
    const fs::path truth_file = DevkitFile(root, kTruthFile);
    if (truth_file.empty()) {
      throw Error(ErrorCode::kNotFound,
                  "{}: looks like ImageNet's validation set, but {} is missing; put it or the "
                  "devkit's folder {} there, or sort the pictures into folders by WordNet id",
                  PathText(root), kTruthFile, kDevkit);
    }
    const std::vector<Index> truth = ReadTruth(truth_file);
    for (const std::string& path : listing.pictures) {
      const Index number = PictureNumber(path);
      if (number == 0) continue;
      if (number > static_cast<Index>(truth.size())) {
        throw Error(ErrorCode::kCorruptData, "{}: has {} lines, none for the picture \"{}\"",
                    PathText(truth_file), truth.size(), Printable(path));
      }
      const Index id = At(truth, number - 1);
      const std::string id_text = fmt::format("{}", id);
      if (synsets.empty()) {
        add(path, id_text, "", id_text);
        continue;
      }
      const auto synset = synsets.find(id);
      if (synset == synsets.end()) {
        throw Error(ErrorCode::kCorruptData, "{}: line {} is class {}, which {} does not have",
                    PathText(truth_file), number, id, kMeta);
      }
      add(path, synset->second.wordnet_id, synset->second.words, id_text);
    }
  }
  if (table.rows() == 0) {
    throw Error(ErrorCode::kNotFound,
                "{}: looks like ImageNet's validation set, but has no pictures {}NNNNNNNN.JPEG in "
                "it, in val or in ILSVRC2012_img_val, and no folders named by WordNet ids in val",
                PathText(root), kPicturePrefix);
  }
  return OpenPictureTable({.kind = "imagenet",
                           .root = root,
                           .folder = root,
                           .split = split,
                           .table = std::move(table),
                           .path = 0,
                           .label = 1,
                           .mask_ignore = std::nullopt});
}

}  // namespace cliplens
