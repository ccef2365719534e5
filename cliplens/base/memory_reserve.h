// Memory that is kept for destructors. Those of the JSON library allocate, and where they get
// nothing the process ends.
//
//   KeepMemoryReserve();    // in main()
//   RenewMemoryReserve();   // before each piece of work
//
// When an allocation fails, std::bad_alloc is thrown as ever. While that or another exception is on
// its way, a thread whose allocation fails is given the reserve.
#pragma once

namespace cliplens {

// Sets the process's handler of failed allocations (std::set_new_handler) and takes 4 MiB of
// address space. Throws std::bad_alloc if they are not there.
void KeepMemoryReserve();

// Takes the reserve again, if it was used and can be had; nothing in a process that keeps none.
void RenewMemoryReserve();

}  // namespace cliplens
