"""`python -m neuralmesh_server ...`, the same as the command `neuralmesh`."""

from neuralmesh_server.cli import main

if __name__ == "__main__":
    main()
