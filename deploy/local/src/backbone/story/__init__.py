"""The story of `backbone demo`: a member's month, played through public doors only and held against its claims."""
