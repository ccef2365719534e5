// A store's contributions as arrays for other programs.
//
//   ExportNpy(store, "arrays/");   // attn.npy, mlp.npy, cls_attn.npy, embedding.npy, items.jsonl
#pragma once

#include <filesystem>

#include "cliplens/decompose/edit.h"
#include "cliplens/decompose/store.h"

namespace cliplens {

// The arrays of the paper's code as float32 .npy files: attn.npy [B, L, H, E], mlp.npy [B, L+1, E],
// cls_attn.npy [B, L, E], embedding.npy [B, E]; items.jsonl beside them.
//
// With an edit the contributions are the edited ones and embedding.npy holds their sum, made unit
// with `normalize`. edit.safetensors is beside them (WriteEditTensors); cls_attn.npy is left out,
// since a store does not keep it for single heads. Throws Error(kPrecondition) for a store with
// statistics only or a directory that exists, and as StoreEdit.
void ExportNpy(const Store& store, const std::filesystem::path& directory,
               const Edit* edit = nullptr, bool normalize = true);

}  // namespace cliplens
