// A directory that is there whole or not at all.
//
//   PartialDirectory directory("store/");
//   WriteFileAtomically(directory.path() / "manifest.json", "{}");
//   directory.Commit();
//
// Files go to `DIRECTORY.partial`, which Commit() renames to `DIRECTORY`. Dropped without Commit,
// it removes what it wrote, or leaves it for a later run to go on with after KeepOnFailure().
//
// One process at a time: the partial directory is locked (flock) until the object goes, and the
// lock goes with the process however that ends. File systems that lock no directories (some network
// file systems) go without; there two runs are told apart by nothing.
#pragma once

#include <filesystem>
#include <string>

namespace cliplens {

class PartialDirectory {
 public:
  enum class Mode {
    kNew,     // neither the directory nor its partial may be there
    kResume,  // goes on with the partial that is there, or makes one
  };

  // Throws Error(kPrecondition) when `directory` exists, when its partial exists (kNew) or is
  // locked by another run, kNotFound when its parent does not exist. `next_step` ends the message
  // about a partial that a run left.
  explicit PartialDirectory(const std::filesystem::path& directory, Mode mode = Mode::kNew,
                            const std::string& next_step = "remove it and run again");
  ~PartialDirectory();
  PartialDirectory(const PartialDirectory&) = delete;
  PartialDirectory& operator=(const PartialDirectory&) = delete;

  // Where to write.
  const std::filesystem::path& path() const { return partial_; }
  const std::filesystem::path& final_path() const { return final_; }
  // The partial was there before.
  bool resumed() const { return resumed_; }
  void KeepOnFailure() { keep_ = true; }
  void DropOnFailure() { keep_ = false; }
  void Commit();

  // `STORE.partial` of `STORE`; "store/" names the same directory as "store".
  static std::filesystem::path PartialPath(const std::filesystem::path& directory);

 private:
  void Lock();

  std::filesystem::path final_;
  std::filesystem::path partial_;
  int descriptor_ = -1;  // of the partial directory, with the lock
  bool resumed_ = false;
  bool keep_ = false;
  bool committed_ = false;
};

}  // namespace cliplens
