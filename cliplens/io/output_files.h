// The files that one command writes: all of them appear, or none.
//
//   OutputFiles files({"labels.json", "labels.csv"});   // before the work: are the names free?
//   files.Write("labels.json", json);
//   files.Write("labels.csv", csv);
//   files.Commit();
//
// Each is written to a hidden file beside it, `.cliplens-HASH.partial`. Commit() syncs them, gives
// each its name as a second one, and then takes the hidden names away. So a file that still has its
// hidden name is of a run that was cut off before all were there: the next run that is to write it
// takes it away and writes anew. Where Commit() was not called or fails, nothing is left.
//
// A run holds a lock (flock) on its hidden files, so two runs do not write the same file. File
// systems without second names (FAT) get the files one after another; there a run that is cut off
// between two renames leaves the first, and the next run says that it exists.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace cliplens {

// Whether something has this name, be it a link that leads nowhere.
bool IsTaken(const std::filesystem::path& path);
// Throws Error(kPrecondition) then.
void RefuseExisting(const std::filesystem::path& path);

class OutputFiles {
 public:
  // Empty paths are left out. Throws Error(kPrecondition) where a path exists or another run writes
  // it, Error(kInvalidArgument) where one stands there twice, and as AtomicFile.
  explicit OutputFiles(const std::vector<std::filesystem::path>& paths);
  ~OutputFiles();
  OutputFiles(const OutputFiles&) = delete;
  OutputFiles& operator=(const OutputFiles&) = delete;

  // Appends to a file; nothing for an empty path.
  void Write(const std::filesystem::path& path, std::span<const std::uint8_t> bytes);
  void Write(const std::filesystem::path& path, std::string_view text);
  // Each must have been written to.
  void Commit();

  // Whether a path exists and is not what a run left that was cut off.
  static bool Exists(const std::filesystem::path& path);

 private:
  class Part;
  std::vector<std::unique_ptr<Part>> parts_;
};

}  // namespace cliplens
