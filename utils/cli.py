def run_main(main):
    main()
