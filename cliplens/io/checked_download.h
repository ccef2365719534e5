// A file that is fetched, checked, and only then gets its name.
//
//   FetchChecked({.url = "https://example.org/ViT-B-32.pt",
//                 .file = "clip/ViT-B-32.pt",
//                 .lock = "clip/ViT-B-32.pt.lock",
//                 .check = [](const auto& part) { Use(FileDigest(part, DigestKind::kSha256)); },
//                 .refuse = [](const HttpAnswer& answer) { Print(answer.status); }});
//
// While it comes it is FILE.incomplete, which a run that was cut off leaves for the next to go on.
// One run at a time fetches it; others wait for it.
#pragma once

#include <filesystem>
#include <functional>
#include <string>

#include "cliplens/base/index.h"
#include "cliplens/io/http_client.h"

namespace cliplens {

struct CheckedDownload {
  std::string url = {};
  HttpOptions http = {};
  std::filesystem::path file = {};
  std::filesystem::path lock = {};  // of those who fetch it; stays behind
  Index size = -1;                  // of the whole; -1: not known
  Index max_bytes = Index{1} << 40;
  // Throws Error(kCorruptData) for bytes that are not the wanted ones: they are thrown away.
  std::function<void(const std::filesystem::path& part)> check = {};
  // Throws for an answer that brings no file.
  std::function<void(const HttpAnswer& answer)> refuse = {};
  std::function<void(Index bytes)> progress = {};  // is told the bytes that are there
  std::function<void()> on_wait = {};              // is told that another run fetches it
};

// Makes a directory and those above it. Throws as AtomicFile.
void MakeDirectories(const std::filesystem::path& directory);

// Fetches the file unless it is there. Throws as HttpDownload, `check` and `refuse`.
void FetchChecked(const CheckedDownload& download);

}  // namespace cliplens
