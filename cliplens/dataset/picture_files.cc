#include "cliplens/dataset/picture_files.h"

#include <algorithm>
#include <cerrno>
#include <set>
#include <system_error>
#include <utility>

#include <sys/stat.h>

#include "cliplens/base/ascii.h"
#include "cliplens/base/error.h"
#include "cliplens/io/file.h"
#include "cliplens/io/file_name.h"
#include "cliplens/io/printable.h"
#include "cliplens/io/random_access_file.h"

namespace cliplens {

std::string_view BaseName(std::string_view path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

std::string LastEnding(std::string_view path) {
  const std::string_view base = BaseName(path);
  const std::size_t dot = base.rfind('.');
  return dot == std::string_view::npos ? "" : LowerAscii(base.substr(dot + 1));
}

std::string_view PackedTarEnding(std::string_view lower_name) {
  constexpr std::array<std::string_view, 9> kEndings = {
      "tar.gz", "tgz", "tar.bz2", "tbz2", "tar.xz", "txz", "tar.zst", "tzst", "tar.lz4"};
  for (const std::string_view ending : kEndings) {
    if (lower_name.size() > ending.size() && lower_name.ends_with(ending) &&
        lower_name[lower_name.size() - ending.size() - 1] == '.') {
      return ending;
    }
  }
  return "";
}

std::string UnpackCommand(std::string_view name) {
  const std::string ending = LastEnding(name);
  const char* program = ending == "tgz" || ending == "gz"     ? "gunzip -k"
                        : ending == "tbz2" || ending == "bz2" ? "bunzip2 -k"
                        : ending == "txz" || ending == "xz"   ? "unxz -k"
                        : ending == "lz4"                     ? "lz4 -d"
                                                              : "unzstd";
  return fmt::format("{} {}", program, Printable(name));
}

std::filesystem::path FileIn(const std::filesystem::path& folder, std::string_view path) {
  return folder / RawName(path);
}

bool BeginsAsPicture(const std::filesystem::path& file) {
  try {
    const RandomAccessFile opened(file);
    return BeginsAsPicture(opened, 0, opened.size());
  } catch (const Error&) {
    return false;
  }
}

bool BeginsAsPicture(const RandomAccessFile& file, Index offset, Index size) {
  std::vector<std::uint8_t> first(ToSize(std::min(size, static_cast<Index>(kPictureFormatBytes))));
  file.Read(offset, first);
  return PictureFormatOf(first).has_value();
}

void CheckPictureIndex(Index i, Index size, const std::string& root) {
  if (i < 0 || i >= size) {
    throw Error(ErrorCode::kInvalidArgument,
                "{}: picture {} was asked for, the set has {}; count from 0", Printable(root, 1024),
                i, size);
  }
}

namespace {

class Walker {
 public:
  explicit Walker(std::filesystem::path root) : root_(std::move(root)) {}

  Listing Walk() {
    MarkAncestors();
    std::vector<std::string> folders = {""};
    while (!folders.empty() || !links_.empty()) {
      if (folders.empty()) {
        // The links found so far, in order of path.
        folders.assign(links_.rbegin(), links_.rend());
        links_.clear();
      }
      const std::string folder = std::move(folders.back());
      folders.pop_back();
      if (MarkVisited(folder)) List(folder, &folders);
    }
    std::sort(listing_.pictures.begin(), listing_.pictures.end());
    std::sort(listing_.tars.begin(), listing_.tars.end());
    std::ranges::sort(listing_.tables, {}, [](const std::string& path) {
      const std::string_view base = BaseName(path);
      return std::pair(std::string_view(path).substr(0, path.size() - base.size()), base);
    });
    return std::move(listing_);
  }

 private:
  std::filesystem::path Full(const std::string& relative) const {
    return relative.empty() ? root_ : root_ / relative;
  }

  // A link to a folder that holds the root would bring in everything around it.
  void MarkAncestors() {
    std::error_code code;
    std::filesystem::path folder = std::filesystem::canonical(root_, code);
    if (code) ThrowFileError(root_, "cannot list", code.value());
    while (folder != folder.root_path()) {
      folder = folder.parent_path();
      struct stat status;
      if (::stat(folder.c_str(), &status) == 0) visited_.emplace(status.st_dev, status.st_ino);
    }
  }

  // False when the folder was listed before, under whatever path.
  bool MarkVisited(const std::string& folder) {
    struct stat status;
    const std::filesystem::path full = Full(folder);
    if (::stat(full.c_str(), &status) != 0) ThrowFileError(full, "cannot list", errno);
    return visited_.emplace(status.st_dev, status.st_ino).second;
  }

  void List(const std::string& folder, std::vector<std::string>* folders) {
    const std::filesystem::path full = Full(folder);
    std::error_code code;
    std::filesystem::directory_iterator entry(full, code);
    for (; !code && entry != std::filesystem::directory_iterator(); entry.increment(code)) {
      const std::string base = entry->path().filename().string();
      if (base.starts_with('.')) {
        listing_.left_out.PassOverHidden(base);
        continue;
      }
      const std::string relative = folder.empty() ? base : folder + "/" + base;
      std::error_code ignored;  // a link to nothing is no picture
      const std::filesystem::file_status status = entry->status(ignored);
      if (std::filesystem::is_directory(status)) {
        if (entry->is_symlink(ignored)) {
          links_.insert(relative);
        } else {
          folders->push_back(relative);
        }
      } else if (std::filesystem::is_regular_file(status)) {
        Take(base, relative);
      } else {
        listing_.left_out.PassOverKind("no file");
      }
    }
    if (code) ThrowFileError(full, "cannot list", code.value());
  }

  // A file by its name and, where that has no ending, by its first bytes.
  void Take(const std::string& base, const std::string& relative) {
    const std::string ending = LastEnding(base);
    const bool bare = base.find('.') == std::string::npos;
    if (bare ? BeginsAsPicture(Full(relative)) : IsPictureEnding(ending)) {
      listing_.pictures.push_back(NameText(relative));
    } else if (ending == "tar") {
      listing_.tars.push_back(NameText(relative));
    } else if (base == "metadata.csv" || base == "metadata.jsonl" || base == "metadata.parquet") {
      listing_.tables.push_back(NameText(relative));
    } else {
      const bool packed = !PackedTarEnding(LowerAscii(base)).empty();
      if (packed && (listing_.packed_tar.empty() || relative < listing_.packed_tar)) {
        listing_.packed_tar = relative;
      }
      listing_.left_out.PassOver(base);
    }
  }

  std::filesystem::path root_;
  Listing listing_;
  std::set<std::pair<dev_t, ino_t>> visited_;
  std::set<std::string> links_;
};

}  // namespace

Listing ListPictures(const std::filesystem::path& root) { return Walker(root).Walk(); }

}  // namespace cliplens
